"""The table of the study of counters: the cost of an increment, and losses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from parcount.report.terminal import failed, make_table
from parcount.report.units import plural
from parcount.studies.core.analysis import MEASURED, CellResult
from parcount.studies.core.result import Study
from parcount.studies.counters.verdict import cost, increments, lost_share, total_lost

LEGEND = """\
ns: wall-clock time of one increment, median. Several workers share the increments: two that do not slow each other down
take half the time. lost: the share of the increments made by the most workers that is missing from the total."""


def tables(study: Study, *, intervals: bool = True) -> Iterator[tuple[str, Table]]:  # noqa: ARG001 - none to show
    """Yield the title and the table."""
    workers = sorted({cell.workers for cell in study.cells})
    header = ["method", "on", *(plural(count, "worker") for count in workers), "lost"]
    yield "counter: one total that all workers increment", make_table(header, _rows(study.cells, workers), header[:2])


def legend(_: Study) -> Iterator[str]:
    """Yield what the columns mean."""
    yield LEGEND


def _rows(cells: Sequence[CellResult], workers: Sequence[int]) -> Iterator[Sequence[str | Text]]:
    """A row for each method and execution: nanoseconds by itself and with several workers, and losses."""
    alone = {cell.variant: cell for cell in cells if cell.execution == "serial"}
    rows: dict[tuple[str, str], dict[int, CellResult]] = {}
    for cell in cells:
        if cell.execution != "serial":
            rows.setdefault((cell.variant, cell.execution), {})[cell.workers] = cell
    for (variant, execution), several in (rows or {(variant, ""): {} for variant in alone}).items():
        together = {1: alone[variant], **several}
        yield variant, execution, *(_cost(together.get(count)) for count in workers), _lost(together[max(together)])


def _cost(cell: CellResult | None) -> str | Text:
    if cell is None:
        return ""
    if cell.status != MEASURED:
        return failed(cell.status)
    nanoseconds = cost(cell)
    return "–" if nanoseconds is None else f"{nanoseconds:.{0 if nanoseconds >= 100 else 1}f} ns"


def _lost(cell: CellResult) -> str | Text:
    if not increments(cell):
        return "–"
    return Text(f"{lost_share(cell):.2g} %", style="red") if total_lost(cell) else "none"
