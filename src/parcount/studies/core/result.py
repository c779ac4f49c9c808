"""What a study gives back, and the file that keeps it.

The file is one JSON object; ``result.schema.json`` beside this module is its JSON Schema, and ``docs/result-file.md``
says what the fields mean.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from parcount.report.output import write_output
from parcount.studies.core.analysis import MEASURED, CellResult
from parcount.studies.core.claims import Claim, Comparison, Verdict
from parcount.studies.core.registry import DEFAULT, STUDIES
from parcount.studies.core.statistics import Estimate

SCHEMA = 1


@dataclass(frozen=True)
class Study:
    """A measured, checked answer.

    Attributes
    ----------
    environment : mapping
        What the numbers depend on.
    options : mapping
        What was asked for.
    cells : list of CellResult
        All of them, those that could not run too.
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
        """Whether every run gave the exact counts, but for the cells that are there to show what is lost."""
        return all(cell.exact is not False or cell.status == MEASURED for cell in self.cells)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the result file: a regular file atomically, a device or a pipe in place, "-" to standard output.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        text = json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1, allow_nan=False)
        write_output(path, f"{text}\n".encode())

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
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            schema = content.pop("schema")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is not a result file of parcount study: {error!r}") from error
        if schema != SCHEMA:
            raise ValueError(f"{path} has schema {schema!r}; this version of parcount reads {SCHEMA}")
        try:
            cells = [CellResult(**{**cell, "speedup": _estimate(cell["speedup"])}) for cell in content.pop("cells")]
            verdict = content.pop("verdict")
            claims = [Claim(**{**claim, "speedup": _estimate(claim["speedup"])}) for claim in verdict["claims"]]
            comparisons = [
                Comparison(**{**one, "speedup": Estimate(**one["speedup"])}) for one in verdict["comparisons"]
            ]
            reached = Verdict(**{**verdict, "claims": claims, "comparisons": comparisons})
            study = cls(cells=cells, verdict=reached, **content)
            name = study.name
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is not a result file of parcount study: {error!r}") from error
        if name not in STUDIES:
            raise ValueError(f"{path} is the study {name!r}; this version of parcount has {', '.join(STUDIES)}")
        return study


def _estimate(value: Mapping[str, float] | None) -> Estimate | None:
    return None if value is None else Estimate(**value)
