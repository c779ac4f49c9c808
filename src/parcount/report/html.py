"""One self-contained HTML page of some studies, which can be read back.

The page has the results as JSON in an element of its own. It loads nothing, and runs no script but its own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from jinja2 import BaseLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from parcount.report.style import STYLES, machine
from parcount.report.svg import Scale, inline_figure, interval_chart, rounds_chart
from parcount.report.units import SECONDS, format_bytes, format_seconds, in_units, in_words, plural

if TYPE_CHECKING:
    from parcount.studies.core.analysis import CellResult
    from parcount.studies.core.claims import Claim
    from parcount.studies.core.comparison import StudyComparison
    from parcount.studies.core.result import Study
    from parcount.studies.core.statistics import Estimate

RATES = {" G": 1e9, " M": 1e6, " k": 1e3, "": 1.0}

WORKER = {"threads": "thread", "processes": "process", "interpreters": "interpreter", "asyncio": "asyncio task"}
"""What one worker of each execution is called."""

LONGEST = 90
"""Characters of an answer in large type; of a longer one only the part before a colon is."""

CHART = 150
"""Length of the scale of intervals."""


def render(studies: Sequence[Study], comparisons: Sequence[StudyComparison] = ()) -> str:
    """Return an HTML page of some studies.

    Parameters
    ----------
    studies : sequence of Study
        A section each.
    comparisons : sequence of StudyComparison, optional
        A section each, before those of the studies.

    Returns
    -------
    str
        The page. `read_embedded` reads the results back.
    """
    environment = Environment(
        loader=PackageLoader("parcount.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {
        "factor": _factor,
        "plural": plural,
        "rate": _rate,
        "seconds": format_seconds,
        "words": in_words,
    }
    loader = environment.loader
    assert isinstance(loader, BaseLoader)
    style, script = (loader.get_source(environment, name)[0] for name in ("report.css", "report.js"))
    names = {id(study): name for one in comparisons for name, study in zip(one.names, one.studies, strict=True)}
    described = [
        _describe(study, f"s{number}-") | {"file": names.get(id(study))} for number, study in enumerate(studies, 1)
    ]
    content = json.dumps([study.content() for study in studies], separators=(",", ":"), allow_nan=False)
    return environment.get_template("report.html").render(
        studies=described,
        comparisons=[_compared(one, f"c{number}-", described) for number, one in enumerate(comparisons, 1)],
        who=_who,
        style=Markup(style),
        script=Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
        # No "<" can end the element, or begin a comment in it.
        content=Markup(content.replace("<", "\\u003c")),
    )


def read_embedded(text: str) -> list[dict[str, Any]]:
    """Return the results in a page that `render` made, each as in a result file; ValueError if it is another."""
    found = re.search(r'<script\b[^>]*\bid="result"[^>]*>(.*?)</script>', text, re.DOTALL)
    content = json.loads(found[1]) if found else None
    if not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
        raise ValueError("not a report of parcount")
    return content


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _describe(study: Study, prefix: str) -> dict[str, Any]:
    """Return what the template shows of a study; `prefix` begins the ids of its elements."""
    answer, rest = _split(study.verdict.sentences[0])
    ran = [cell for cell in study.cells if cell.seconds]
    ids = {str(cell.cell): f"{prefix}c{number}" for number, cell in enumerate(ran)}
    intervals = [cell.speedup for cell in ran if cell.speedup is not None]
    scale = Scale.of([1.0, *(end for one in intervals for end in (one.low, one.high))], CHART)
    workloads: dict[str, list[dict[str, Any]]] = {}
    for cell in ran:
        workloads.setdefault(cell.workload, []).append(
            {
                "cell": cell,
                "id": ids[str(cell.cell)],
                "who": _who(cell),
                "kind": _kind(cell),
                "seconds": median(cell.seconds),
                "chart": cell.speedup and interval_chart(cell.speedup, scale),
                "series": [*_series(cell)],
                "lost": _lost(cell),
            }
        )
    return {
        "study": study,
        "ids": ids,
        "prefix": prefix,
        "machine": machine(study),
        "answer": answer,
        "rest": rest,
        "sentences": study.verdict.sentences[1:],
        "claims": [_claim(claim, ids) for claim in study.verdict.claims],
        "figure": inline_figure(study.plot(), f"Figure of the study {study.name}", prefix),
        "tables": [table.first_sight() for table in study.tables()],
        "legend": study.legend(),
        "workloads": workloads,
        "absent": _absent(study.cells),
        "options": [*_rows(study.options)],
        "environment": [*_rows(study.environment)],
    }


def _compared(comparison: StudyComparison, prefix: str, described: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the template shows of a comparison; rates lead to the cells of the described studies."""
    ids = {id(one["study"]): one["ids"] for one in described}
    shown = [[cell for cell in pair.cells if cell.first.seconds or cell.other.seconds] for pair in comparison.pairs]
    intervals = [cell.interval for cells in shown for cell in cells if cell.interval is not None]
    scale = Scale.of([1.0, *(end for one in intervals for end in (one.low, one.high))], CHART)
    first, *others = (ids.get(id(study), {}) for study in comparison.studies)
    return {
        "comparison": comparison,
        "prefix": prefix,
        "pairs": [
            (
                pair,
                [
                    {
                        "cell": cell,
                        "who": _who(cell.first),
                        "kind": _kind(cell.first),
                        "chart": cell.interval and interval_chart(cell.interval, scale),
                        "sides": [
                            (cell.first, first.get(str(cell.first.cell)), pair.first),
                            (cell.other, other.get(str(cell.other.cell)), pair.other),
                        ],
                    }
                    for cell in cells
                ],
            )
            for pair, cells, other in zip(comparison.pairs, shown, others, strict=True)
        ],
    }


def _split(sentence: str) -> tuple[str, str]:
    """Return the beginning of the verdict, such as "Yes.", and the numbers that follow."""
    answer, rest = _cut(sentence, ". ")
    return (answer, rest) if len(answer) <= LONGEST else _cut(sentence, ": ")


def _cut(text: str, end: str) -> tuple[str, str]:
    before, found, after = text.partition(end)
    return before + found.rstrip(), after


def _claim(claim: Claim, ids: Mapping[str, str]) -> dict[str, Any]:
    samples = claim.samples
    chart = rounds_chart(samples, claim.bound, _two_decimals) if samples else None
    return {
        "claim": claim,
        "estimate": str(claim.estimate).replace("×", "" if claim.quantity == "parallel share" else "×")
        if claim.estimate
        else "",
        "cells": [(name, ids.get(name)) for name in claim.cells],
        "series": [(f"{claim.quantity} in each round; the dashed line is the limit", chart, _listed(samples))],
        "state": {True: "holds", False: "does not hold", None: "undecided"}[claim.holds],
    }


def _series(cell: CellResult) -> Iterator[tuple[str, Markup | None, str]]:
    """Yield the title, the chart and the values of what was measured in each round."""
    if cell.speedup is not None and cell.ratios and set(cell.ratios) != {1.0}:
        yield "speedup in each round", rounds_chart(cell.ratios, 1.0, _two_decimals), _listed(cell.ratios)
    unit = in_units(median(cell.seconds), SECONDS).split()[-1]
    times = [seconds / SECONDS[unit] for seconds in cell.seconds]
    yield f"time of a run in {unit}", rounds_chart(times, None, lambda value: f"{value:.3g}"), _listed(times)
    for title, values, scale in (
        ("share of the time that workers waited for a core, in %", cell.waited if cell.disturbed else [], 0.01),
        (f"{cell.unit}s lost", cell.lost, 1),
        ("CPU time of the workers in ms", cell.cpu, 1e-3),
        ("CPU time of the server in ms", cell.server, 1e-3),
    ):
        if any(value >= 0.001 for value in values):
            yield title, None, _listed([value / scale for value in values])


def _listed(values: Iterable[float]) -> str:
    return " ".join(f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}" for value in values)


def _two_decimals(value: float) -> str:
    return f"{value:.2f}"


def _who(cell: CellResult) -> str:
    """Return who runs a cell: "serial", "1 thread", "2 processes"."""
    if cell.execution == "serial":
        return "serial"
    one = WORKER.get(cell.execution, cell.execution)
    if cell.workers == 1:
        return f"1 {one}"
    return f"{cell.workers} {one}s" if cell.execution == "asyncio" else f"{cell.workers} {cell.execution}"


def _kind(cell: CellResult) -> str:
    """Return the class of a cell's charts."""
    return cell.execution if cell.execution in STYLES else "serial"


def _rate(cell: CellResult) -> str:
    if cell.rate is None:
        return "–"
    return f"{format_bytes(cell.rate) if cell.unit == 'byte' else in_units(cell.rate, RATES).strip()}/s"


def _factor(estimate: Estimate) -> str:
    """Return a speedup as text; one near zero with two digits that are not."""
    if estimate.median >= 0.1:
        return str(estimate)
    return f"{estimate.median:.2g}× [{estimate.low:.2g}–{estimate.high:.2g}]"


def _lost(cell: CellResult) -> str:
    made = (cell.work or 0) * len(cell.lost)
    return f"{100 * sum(cell.lost) / made:.2g} %" if made and any(cell.lost) else "none"


def _absent(cells: Iterable[CellResult]) -> dict[tuple[str, str], list[str]]:
    """Return which cells were not measured, by their status and reason."""
    found: dict[tuple[str, str], list[str]] = {}
    for cell in cells:
        if cell.status != "measured":
            found.setdefault((cell.status, cell.reason or ""), []).append(
                f"{cell.workload}, {cell.variant}, {_who(cell)}"
            )
    return found


def _rows(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield names and values as text, those of nested mappings in one line."""
    for name, value in values.items():
        yield name.replace("_", " "), _text(value)


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{name.replace('_', ' ')} {_text(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None else str(value)
