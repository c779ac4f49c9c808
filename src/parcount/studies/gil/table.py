"""The tables of the study of the GIL: how fast each variant is, and what more workers gain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from parcount.kernels import WORKLOADS
from parcount.report.table import Column, Styled, Table
from parcount.report.units import plural, two_decimals
from parcount.studies.core.analysis import MEASURED, CellResult
from parcount.studies.core.claims import left_out
from parcount.studies.core.result import Study
from parcount.studies.core.tables import DETAIL, pays_from, speedup_cells, speedup_columns, start_up

LEGEND = (
    "M/s: million increments per second, serial. The other columns: how many times as fast, the median of the ratios "
    "in each round, with its 95 % interval."
)

DETAILS = (
    "start-up: time that new workers, the most, need beyond that of running ones. pays from: number of increments from "
    "which starting them pays."
)


def tables(study: Study) -> Iterator[Table]:
    """Yield the table of each workload."""
    available = study.environment["cores"]["parallel"]
    for workload in dict.fromkeys(cell.workload for cell in study.cells):
        cells = [cell for cell in study.cells if cell.workload == workload]
        workers = sorted({cell.workers for cell in cells if cell.execution != "serial"})
        columns = [
            Column("variant", left=True),
            Column("on", left=True),
            Column("M/s", 2 if workers else 1),
            *speedup_columns(workers, available),
            Column("start-up", DETAIL, details=True),
            Column("pays from", DETAIL + 1, details=True),
        ]
        yield Table(f"{workload}: {WORKLOADS[workload].summary}", columns, [*_rows(cells, workers)])


def legend(study: Study, *, details: bool = False) -> Iterator[str]:
    """Yield what the columns mean, and what was left out."""
    available = study.environment["cores"]["parallel"]
    yield LEGEND
    if details:
        yield DETAILS
    if any(cell.workers > available for cell in study.cells):
        yield f"* more workers than the {plural(available, 'core')} available."
    measured = {cell.variant for cell in study.cells if cell.status == MEASURED}
    yield from left_out(
        study.cells,
        lambda cell: cell.variant,
        lambda cell: f" on {cell.execution}" if cell.variant in measured else "",
    )
    if (data := study.options["data"]) is not None:
        most = max((cell.work or 0 for cell in study.cells if cell.workload == "bincount"), default=0)
        yield f"bincount counted bytes of {data}: the first {most} of them, fewer in slower variants."


def _rows(cells: Sequence[CellResult], workers: Sequence[int]) -> Iterator[Sequence[str]]:
    """A row for each variant and execution: the rate of the serial cell, and the speedup at each number of workers."""
    for variant in dict.fromkeys(cell.variant for cell in cells):
        several = [cell for cell in cells if cell.variant == variant]
        serial = [cell for cell in several if cell.execution == "serial"]
        rate = next((two_decimals(cell.rate / 1e6) for cell in serial if cell.rate), "–")
        if all(cell.status != MEASURED for cell in several):
            texts = {cell.status for cell in several}
            yield variant, Styled(min(texts), "red" if "failed" in texts else "dim"), *[""] * (3 + 2 * len(workers))
            continue
        for execution in dict.fromkeys(cell.execution for cell in several if cell not in serial) or ["serial"]:
            row = {cell.workers: cell for cell in several if cell.execution == execution}
            widest = max(row.values(), key=lambda cell: (cell.status == MEASURED, cell.workers))
            several_workers = row if execution != "serial" else {}
            speeds = [text for count in workers for text in speedup_cells(several_workers.get(count))]
            yield variant, execution, rate, *speeds, start_up(widest), pays_from(widest)
