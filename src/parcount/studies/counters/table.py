"""The tables of the study of counters: the cost of an increment, and losses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from parcount.report.table import Column, Styled, Table
from parcount.studies.core.analysis import MEASURED, CellResult
from parcount.studies.core.cells import Cell
from parcount.studies.core.claims import Comparison
from parcount.studies.core.result import Study
from parcount.studies.core.statistics import Estimate, estimate
from parcount.studies.core.tables import interval, interval_column, status
from parcount.studies.counters.methods import METHODS
from parcount.studies.counters.verdict import CHEAPER, increments, lost_share, total_lost

LEGEND = (
    "Times: wall-clock time of one increment, median with its 95 % interval. The workers share the increments: two "
    "that do not slow each other down take half the time. place: one more than the number of exact methods that are "
    "measurably cheaper, in the same rounds or by their intervals. lost: share of the increments that is missing."
)


def tables(study: Study) -> Iterator[Table]:
    """Yield a table for each execution; if there is none, one for the methods alone."""
    alone = {cell.variant: {1: cell} for cell in study.cells if cell.execution == "serial"}
    executions = dict.fromkeys(cell.execution for cell in study.cells if cell.execution != "serial")
    for execution in executions or ["serial"]:
        rows: dict[str, dict[int, CellResult]] = {}
        for cell in study.cells:
            if cell.execution == execution:
                rows.setdefault(cell.variant, {**alone.get(cell.variant, {})})[cell.workers] = cell
        workers = sorted({count for row in rows.values() for count in row})
        widest = [row[max(row)] for row in rows.values()]
        places = _places(widest, study.verdict.comparisons)
        yield Table(
            f"{execution}: one total that every worker increments",
            _columns(execution, workers),
            [
                _row(cell, rows[cell.variant], workers, places)
                for cell in sorted(widest, key=lambda cell: places.get(cell.variant, len(widest) + 1))
            ],
        )


def legend(study: Study, *, details: bool = False) -> Iterator[str]:  # noqa: ARG001 - there are none
    """Yield what the columns mean."""
    yield LEGEND


def price(cell: CellResult) -> Estimate | None:
    """Return the wall-clock nanoseconds of an increment; None if there were none."""
    return estimate([1e9 * seconds / cell.work for seconds in cell.seconds]) if cell.work and cell.seconds else None


def _columns(execution: str, workers: Sequence[int]) -> list[Column]:
    """The most important cost is that with the most workers, then that of one."""
    most = max(workers)
    columns = [Column("method", left=True), Column("place", 3)]
    for rank, count in enumerate(workers):
        name = "1 worker" if count == 1 else f"{count} {execution}"
        columns += [
            Column(name, 1 if count == most else 10 + rank),
            interval_column(name, 4 if count == most else 100 + rank),
        ]
    return [*columns, Column("lost", 2)]


def _row(cell: CellResult, row: dict[int, CellResult], workers: Sequence[int], places: dict[str, int]) -> Sequence[str]:
    costs = [text for count in workers for text in _cost(row.get(count))]
    return cell.variant, str(places.get(cell.variant, "–")), *costs, _lost(cell)


def _places(cells: Sequence[CellResult], comparisons: Sequence[Comparison]) -> dict[str, int]:
    """The place of each exact method. Those of which no pair can be told apart share one."""
    compared = {
        (one.execution, one.workers, one.variant, one.against): one.speedup.exceeds(CHEAPER) is True
        for one in comparisons
    }
    prices = {
        cell.cell: found
        for cell in cells
        if cell.status == MEASURED and not METHODS[cell.variant].may_lose and (found := price(cell)) is not None
    }

    def is_cheaper(one: Cell, other: Cell) -> bool:
        apart = CHEAPER * prices[one].high < prices[other].low
        return compared.get((one.execution, one.workers, one.variant, other.variant), apart)

    return {cell.variant: 1 + sum(is_cheaper(other, cell) for other in prices) for cell in prices}


def _cost(cell: CellResult | None) -> tuple[str, str]:
    if cell is None:
        return "", ""
    if cell.status != MEASURED or (found := price(cell)) is None:
        return status(cell), ""
    digits = 0 if found.median >= 100 else 1
    return f"{found.median:.{digits}f} ns", interval(found, digits)


def _lost(cell: CellResult) -> str:
    if not increments(cell):
        return "–"
    return Styled(f"{lost_share(cell):.2g} %", "red") if total_lost(cell) else "none"
