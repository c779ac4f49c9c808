"""The result of a study, and its file.

The file is one JSON object; ``result.schema.json`` beside this module is its JSON Schema, and ``docs/result-file.md``
says what the fields mean.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from parcount.report.output import read_json, write_json
from parcount.studies.core.analysis import MEASURED, CellResult
from parcount.studies.core.claims import Claim, Comparison, Verdict
from parcount.studies.core.registry import DEFAULT, STUDIES
from parcount.studies.core.statistics import Estimate

SCHEMA = 2
WHAT = "a result file of parcount study"

Part = TypeVar("Part")


@dataclass(frozen=True)
class Study:
    """The result of a study.

    Attributes
    ----------
    environment : mapping
        What the numbers depend on.
    options : mapping
        The options of the study.
    cells : list of CellResult
        All cells, including those that could not run.
    verdict : Verdict
        What they show.
    complete : bool
        False if the study was interrupted.
    """

    environment: Mapping[str, Any]
    options: Mapping[str, Any]
    cells: list[CellResult]
    verdict: Verdict
    complete: bool

    def __str__(self) -> str:
        return "\n".join(self.verdict.sentences)

    @property
    def name(self) -> str:
        """The name of the study, as `parcount.study` takes it."""
        return str(self.options.get("study", DEFAULT))

    @property
    def exact(self) -> bool:
        """Whether the result of every run was right, except in cells whose losses are measured."""
        return all(cell.exact is not False or cell.status == MEASURED for cell in self.cells)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the result file: a regular file atomically, a device or a pipe in place, "-" to standard output.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        write_json(path, SCHEMA, asdict(self))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Study:
        """Read a result file.

        Raises
        ------
        OSError
            If it cannot be read.
        ValueError
            If it is not a result file, or of a schema or a study that this version does not know.
        """
        content = read_json(path, SCHEMA, WHAT)
        try:
            cells = [_with_estimate(CellResult, cell) for cell in content.pop("cells")]
            verdict = content.pop("verdict")
            claims = [_with_estimate(Claim, claim, "estimate") for claim in verdict["claims"]]
            comparisons = [_with_estimate(Comparison, one) for one in verdict["comparisons"]]
            verdict = Verdict(**{**verdict, "claims": claims, "comparisons": comparisons})
            study = cls(cells=cells, verdict=verdict, **content)
            name = study.name
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is not {WHAT}: {error!r}") from error
        if name not in STUDIES:
            raise ValueError(f"{path} is the study {name!r}; this version of parcount has {', '.join(STUDIES)}")
        return study


def _with_estimate(kind: type[Part], content: Mapping[str, Any], name: str = "speedup") -> Part:
    interval = content[name]
    return kind(**{**content, name: None if interval is None else Estimate(**interval)})
