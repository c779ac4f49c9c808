"""The result of a study, and its file.

The file is one JSON object; ``result.schema.json`` beside this module is its JSON Schema, and ``docs/result-file.md``
says what the fields mean.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from parcount.report.json_schema import known_part
from parcount.report.output import check_schema, format_json, parse_json, read_json, write_json
from parcount.report.units import plural
from parcount.studies.core.analysis import MEASURED, CellResult
from parcount.studies.core.claims import Cause, Claim, Comparison, Verdict
from parcount.studies.core.registry import DEFAULT, find_experiment
from parcount.studies.core.statistics import Estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from parcount.report.table import Table

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
    def cause(self) -> str | None:
        """The strongest cause why more workers do not do more, in the first Python; None in a study without causes."""
        return self.verdict.causes[0].cause if self.verdict.causes else None

    @property
    def evidence(self) -> dict[str, float]:
        """The numbers that the strongest cause rests on."""
        return self.verdict.causes[0].evidence if self.verdict.causes else {}

    @property
    def name(self) -> str:
        """The name of the study, as `parcount.study` takes it."""
        return str(self.options.get("study", DEFAULT))

    @property
    def exact(self) -> bool:
        """Whether the result of every run was right, except in cells whose losses are measured."""
        return all(cell.exact is not False or cell.status == MEASURED for cell in self.cells)

    @property
    def measured(self) -> bool:
        """Whether there is a sample: not if the study was interrupted before its first round."""
        return any(cell.seconds for cell in self.cells)

    def __repr__(self) -> str:
        measured = sum(bool(cell.seconds) for cell in self.cells)
        rounds = plural(max((len(cell.seconds) for cell in self.cells), default=0), "round")
        state = "complete" if self.complete else "interrupted"
        found = f"{self.verdict.answer}, {measured} of {plural(len(self.cells), 'cell')}, {rounds}, {state}"
        return f"<parcount study {self.name!r}: {found}>"

    def _repr_html_(self) -> str:
        return find_experiment(self.name).html(self)

    def table(self, *, details: bool = False, width: int = 80) -> str:
        """Return the tables that the command prints as text, for ``print``; this takes rich.

        Parameters
        ----------
        details : bool, optional
            Whether to have all columns, and the claims.
        width : int, optional
            The most characters in a line. Columns that do not fit are left out; with details, they follow below.
        """
        return find_experiment(self.name).table_text(self, details=details, width=width)

    def tables(self) -> list[Table]:
        """Return the tables that the command prints, for pages."""
        return find_experiment(self.name).tables(self)

    def legend(self) -> list[str]:
        """Return what the columns of the tables mean, and why cells were left out."""
        return find_experiment(self.name).legend(self)

    def plot(self) -> Figure:
        """Return the figure of the study; this takes Matplotlib."""
        return find_experiment(self.name).draw(self)

    def content(self) -> dict[str, Any]:
        """Return what the result file has: plain values with the number of its schema."""
        return {"schema": SCHEMA, **asdict(self)}

    def to_json(self) -> str:
        """Return the text of the result file."""
        return format_json(SCHEMA, asdict(self))

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
        return cls.from_content(read_json(path), path)

    @classmethod
    def from_content(cls, content: Any, path: str | os.PathLike[str]) -> Study:
        """Return the study with the content of a result file; ValueError, with the file's name, as `load`.

        Fields that this version does not know are left out.
        """
        check_schema(content, path, SCHEMA, WHAT, "cells")
        try:
            known = known_part(content, _schema())
            verdict = known["verdict"]
            study = cls(
                known["environment"],
                known["options"],
                [_with_estimate(CellResult, cell) for cell in known["cells"]],
                Verdict(
                    verdict["answer"],
                    verdict["sentences"],
                    [_with_estimate(Claim, claim, "estimate") for claim in verdict["claims"]],
                    [_with_estimate(Comparison, one) for one in verdict["comparisons"]],
                    [Cause(**cause) for cause in verdict.get("causes", [])],
                    verdict.get("fits", []),
                ),
                known["complete"],
            )
            _check_names(study)
        except ValueError as error:
            raise ValueError(f"{path} is not {WHAT} that this version of parcount can read: {error}") from None
        return study


def load_studies(path: str | os.PathLike[str]) -> list[Study]:
    """Read a result file, or the results in a page of ``parcount report``.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        As `Study.load`.
    ImportError
        If it is a page and Jinja2 is not installed.
    """
    data = Path(path).read_bytes()
    if not data.lstrip().startswith(b"<"):
        return [Study.from_content(parse_json(data, path), path)]
    from parcount.report.html import read_embedded

    try:
        contents = read_embedded(data.decode())
    except (ValueError, RecursionError):
        raise ValueError(f"{path} is HTML, and not a report of parcount") from None
    return [Study.from_content(content, path) for content in contents]


@cache
def _schema() -> dict[str, Any]:
    text = files("parcount.studies.core").joinpath("result.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def _check_names(study: Study) -> None:
    """Raise ValueError if a cell has a workload or an execution that its study never has: nothing could show it."""
    experiment = find_experiment(study.name)
    for what in ("workload", "execution"):
        found = dict.fromkeys(getattr(cell, what) for cell in study.cells)
        fixed = experiment.fixed_options.get(f"{what}s")
        for name in found:
            if fixed is not None and name not in fixed:
                raise ValueError(f"the study {study.name!r} has no {what} {name!r}")
    for option in experiment.parameters:
        if option.keyword == "workloads" and study.cells:
            option.check([*dict.fromkeys(cell.workload for cell in study.cells)])


def _with_estimate(kind: type[Part], content: Mapping[str, Any], name: str = "speedup") -> Part:
    found = None if content[name] is None else Estimate(**content[name])
    if found is not None and not found.low <= found.median <= found.high:
        raise ValueError(f"a {name} is outside its interval: {found}")
    return kind(**{**content, name: found})
