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
    "journal": "parcount.studies.journal.experiment:JournalExperiment",
}
"""The class of each study of this machine, by its name. A class is imported when its study is first asked for."""

SCALE = "scale"
"""The name of the study of the user's own function, which has a command of its own."""

DEFAULT = "gil"


def find_experiment(name: str) -> type[Experiment]:
    """Return the class of a study.

    Raises
    ------
    ValueError
        If there is no study of that name.
    """
    experiments = {**STUDIES, SCALE: "parcount.studies.scale.experiment:ScaleExperiment"}
    if name not in experiments:
        raise ValueError(f"no study {name!r}; there are {', '.join(experiments)}")
    module, _, attribute = experiments[name].partition(":")
    found: type[Experiment] = getattr(import_module(module), attribute)
    return found
