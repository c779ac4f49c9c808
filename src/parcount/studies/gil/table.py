"""A study of the GIL as tables: how fast each variant is, and what more workers buy."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from parcount.kernels import WORKLOADS
from parcount.report.style import libraries, start_up
from parcount.studies.core.analysis import MEASURED, CellResult
from parcount.studies.core.claims import in_words
from parcount.studies.core.result import Study


def show(study: Study, console: Console) -> None:
    """Print a table for each workload."""
    available = study.environment["cores"]["available"]
    for workload in dict.fromkeys(cell.workload for cell in study.cells):
        cells = [cell for cell in study.cells if cell.workload == workload]
        console.print()
        console.print(Text(f"{workload}: {WORKLOADS[workload].summary}", style="bold"))
        table = _table(cells, available, intervals=True)
        unbounded = console.options.update(max_width=sys.maxsize)
        if console.measure(table, options=unbounded).maximum > console.width:
            table = _table(cells, available, intervals=False)
        console.print(table)
    console.print(Text(_legend(study, available), style="dim"))


def _table(cells: Sequence[CellResult], available: int, *, intervals: bool) -> Table:
    """A row for each variant and execution: its rate, and its speedup at each number of workers."""
    workers = sorted({cell.workers for cell in cells if cell.execution != "serial"})
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("variant", no_wrap=True)
    table.add_column("on", no_wrap=True)
    table.add_column("M/s", justify="right", no_wrap=True)
    for count in workers:
        many = "worker" if count == 1 else "workers"
        table.add_column(f"{count} {many}{'*' if count > available else ''}", justify="right", no_wrap=True)
    table.add_column("start-up", justify="right", no_wrap=True)
    table.add_column("pays from", justify="right", no_wrap=True)
    before = None
    for variant, execution in dict.fromkeys((cell.variant, cell.execution) for cell in cells):
        row = {cell.workers: cell for cell in cells if (cell.variant, cell.execution) == (variant, execution)}
        name = variant if variant != before else ""
        before = variant
        widest = max(row.values(), key=lambda cell: (cell.status == MEASURED, cell.workers))
        if widest.status != MEASURED:
            if name or execution == "serial":
                table.add_row(name, execution, Text(widest.status, style="red"), style="dim")
            continue
        speeds = (
            [""] * len(workers) if execution == "serial" else [_speed(row.get(count), intervals) for count in workers]
        )
        table.add_row(name, execution, _rate(widest), *speeds, start_up(widest), _even(widest))
    return table


def _rate(cell: CellResult) -> str:
    if cell.rate is None:
        return "–"
    millions = cell.rate / 1e6
    return f"{millions:.2f}" if millions < 10 else f"{millions:,.0f}".replace(",", " ")


def _speed(cell: CellResult | None, interval: bool) -> str | Text:
    if cell is None:
        return ""
    if cell.status != MEASURED:
        return Text(cell.status, style="red")
    if cell.speedup is None:
        return "–"
    return str(cell.speedup) if interval else f"{cell.speedup.median:.2f}×"


def _even(cell: CellResult) -> str:
    if cell.startup is None or cell.speedup is None:
        return ""
    if cell.break_even is None:
        return "never"
    return in_words(cell.break_even) if cell.break_even else "at once"


def _legend(study: Study, available: int) -> str:
    lines = [
        "M/s: million increments per second, with the most workers. Speedups are relative to the same variant, serial,",
        "in the same round: median [95 % interval]. start-up: time that new workers need beyond that of warm ones.",
        "pays from: number of increments from which starting workers pays.",
    ]
    if any(cell.variant == "numba-parallel" and cell.execution == "threads" for cell in study.cells):
        lines.append("numba-parallel on threads: Numba's own.")
    if any(cell.workers > available for cell in study.cells):
        lines.append(f"* more workers than the {available} cores available.")
    lines.extend(_left_out(study))
    if (data := study.options["data"]) is not None:
        most = max((cell.work or 0 for cell in study.cells if cell.workload == "bincount"), default=0)
        lines.append(f"bincount counted bytes of {data}: the first {most} of them, fewer in slower variants.")
    lines.append(libraries(study))
    return "\n".join(lines)


def _left_out(study: Study) -> list[str]:
    """What was not measured, and why: a line for each reason."""
    measured = {cell.variant for cell in study.cells if cell.status == MEASURED}
    variants: dict[tuple[str, str], dict[str, None]] = {}
    for cell in study.cells:
        if cell.status != MEASURED:
            where = f" on {cell.execution}" if cell.variant in measured else ""
            variants.setdefault((where, f"{cell.status}: {cell.reason}."), {})[cell.variant] = None
    return [f"{', '.join(names)}{where}: {why}" for (where, why), names in variants.items()]
