"""A study of transports as two tables: arrays on their way there, and back."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from parcount.execution.processes.transports import TRANSPORTS
from parcount.report.style import libraries
from parcount.studies.core.analysis import MEASURED, CellResult
from parcount.studies.core.result import Study
from parcount.studies.transports.units import format_bytes
from parcount.studies.transports.verdict import ALONE, BACK, INTEGER, METHODS, THERE, pace

TITLES = {
    THERE: "there: to a worker, which reads the array and returns a checksum; an integer is returned itself",
    BACK: "back: made by a worker, and read by this process",
}

LEGEND = """\
Median of one trip: its time, or for large arrays bytes per second (1 kB is 1024 bytes). *: the fastest transport.
work alone: making and reading the array without a worker. shared array, mapped file: only the name is sent."""


def show(study: Study, console: Console) -> None:
    """Print both tables."""
    for direction, title in TITLES.items():
        console.print()
        console.print(Text(title, style="bold"))
        console.print(_table(study, direction))
    console.print(Text(f"{LEGEND}\n{libraries(study)}", style="dim"))


def _table(study: Study, direction: str) -> Table:
    """A row for each size, a column for each way."""
    rows: dict[str, dict[str, CellResult]] = {}
    for cell in study.cells:
        if (cell.direction or THERE) == direction:
            rows.setdefault(cell.workload, {})[cell.variant] = cell
    ways = [way for way in (ALONE, *METHODS) if any(way in cells for cells in rows.values())]
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("size", *ways):
        table.add_column(name, justify="right", no_wrap=True)
    for cells in rows.values():
        fastest = max(
            (cell for way, cell in cells.items() if way in TRANSPORTS), key=lambda cell: cell.rate or 0.0, default=None
        )
        texts = [_cell(cells.get(way), fastest=cells.get(way) is fastest) for way in ways]
        size = next(iter(cells.values())).array_bytes
        table.add_row(INTEGER if size is None else format_bytes(size), *texts)
    return table


def _cell(cell: CellResult | None, *, fastest: bool) -> Text:
    if cell is None:
        return Text("")
    if cell.status != MEASURED:
        return Text(cell.status, style="red")
    return Text(f"{pace(cell) or '–'}{'*' if fastest else ' '}", style="bold" if fastest else "")
