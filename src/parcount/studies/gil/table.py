"""The tables of the study of the GIL: how fast each variant is, and what more workers gain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from parcount.kernels import WORKLOADS
from parcount.report.style import speedup, start_up
from parcount.report.terminal import failed, make_table
from parcount.report.units import in_words, plural, two_decimals
from parcount.studies.core.analysis import MEASURED, CellResult
from parcount.studies.core.claims import left_out
from parcount.studies.core.result import Study

LEGEND = """\
M/s: million increments per second, with the most workers. Speedups are relative to the same variant, serial,
in the same round: median [95 % interval]. start-up: time that new workers need beyond that of warm ones.
pays from: number of increments from which starting workers pays."""


def tables(study: Study, *, intervals: bool = True) -> Iterator[tuple[str, Table]]:
    """Yield the title and the table of each workload."""
    available = study.environment["cores"]["parallel"]
    for workload in dict.fromkeys(cell.workload for cell in study.cells):
        cells = [cell for cell in study.cells if cell.workload == workload]
        workers = sorted({cell.workers for cell in cells if cell.execution != "serial"})
        columns = [f"{plural(count, 'worker')}{'*' if count > available else ''}" for count in workers]
        header = ["variant", "on", "M/s", *columns, "start-up", "pays from"]
        table = make_table(header, _rows(cells, workers, intervals), ("variant", "on"))
        yield f"{workload}: {WORKLOADS[workload].summary}", table


def legend(study: Study) -> Iterator[str]:
    """Yield what the columns mean, and what was left out."""
    available = study.environment["cores"]["parallel"]
    yield LEGEND
    if any(cell.variant == "numba-parallel" and cell.execution == "threads" for cell in study.cells):
        yield "numba-parallel on threads: Numba's own."
    if any(cell.workers > available for cell in study.cells):
        yield f"* more workers than the {available} cores available."
    measured = {cell.variant for cell in study.cells if cell.status == MEASURED}
    yield from left_out(
        study.cells,
        lambda cell: cell.variant,
        lambda cell: f" on {cell.execution}" if cell.variant in measured else "",
    )
    if (data := study.options["data"]) is not None:
        most = max((cell.work or 0 for cell in study.cells if cell.workload == "bincount"), default=0)
        yield f"bincount counted bytes of {data}: the first {most} of them, fewer in slower variants."


def _rows(cells: Sequence[CellResult], workers: Sequence[int], intervals: bool) -> Iterator[Sequence[str | Text]]:
    """A row for each variant and execution: its rate, and its speedup at each number of workers."""
    before = None
    for variant, execution in dict.fromkeys((cell.variant, cell.execution) for cell in cells):
        row = {cell.workers: cell for cell in cells if (cell.variant, cell.execution) == (variant, execution)}
        widest = max(row.values(), key=lambda cell: (cell.status == MEASURED, cell.workers))
        if widest.status == MEASURED:
            alone = execution == "serial"
            speeds = [_speed(row.get(count), intervals) if not alone else "" for count in workers]
            rate = "–" if widest.rate is None else two_decimals(widest.rate / 1e6)
            yield variant, execution, rate, *speeds, start_up(widest), _even(widest)
        elif variant != before:
            yield variant, Text(execution, style="dim"), failed(widest.status)
        before = variant


def _speed(cell: CellResult | None, intervals: bool) -> str | Text:
    if cell is None:
        return ""
    if cell.status != MEASURED:
        return failed(cell.status)
    return speedup(cell, intervals)


def _even(cell: CellResult) -> str:
    if cell.startup is None or cell.speedup is None:
        return ""
    if cell.break_even is None:
        return "never"
    return in_words(cell.break_even) if cell.break_even else "at once"
