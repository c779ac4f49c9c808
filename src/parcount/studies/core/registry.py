"""The studies that there are: one line each."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from parcount.studies.core.experiment import Experiment

STUDIES: Mapping[str, str] = {
    "gil": "parcount.studies.gil.experiment:GilExperiment",
    "counters": "parcount.studies.counters.experiment:CountersExperiment",
    "io": "parcount.studies.io.experiment:IoExperiment",
    "transports": "parcount.studies.transports.experiment:TransportsExperiment",
}
"""The class of each study, by the study's name. A class is imported when its study is first asked for."""

DEFAULT = "gil"


def find_experiment(name: str) -> type[Experiment]:
    """Return the class of a study.

    Raises
    ------
    ValueError
        If there is no study of that name.
    """
    if name not in STUDIES:
        raise ValueError(f"no study {name!r}; there are {', '.join(STUDIES)}")
    module, _, attribute = STUDIES[name].partition(":")
    found: type[Experiment] = getattr(import_module(module), attribute)
    return found
