"""The tables of the study of transports: arrays to a worker, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.table import Table
from rich.text import Text

from parcount.execution.processes.transports import TRANSPORTS
from parcount.report.terminal import failed, make_table
from parcount.report.units import format_bytes
from parcount.studies.core.analysis import MEASURED, CellResult
from parcount.studies.core.findings import fastest
from parcount.studies.core.result import Study
from parcount.studies.transports.verdict import ALONE, BACK, INTEGER, METHODS, THERE, pace

TITLES = {
    THERE: "there: to a worker, which reads the array and returns a checksum; an integer is returned itself",
    BACK: "back: made by a worker, and read by this process",
}

LEGEND = """\
Median of one trip: its time, or for large arrays bytes per second (1 kB is 1024 bytes). *: the fastest transport.
work alone: making and reading the array without a worker. shared array, mapped file: only the name is sent."""


def tables(study: Study, *, intervals: bool = True) -> Iterator[tuple[str, Table]]:  # noqa: ARG001 - none to show
    """Yield the title and the table of each direction: a row for each size, a column for each method."""
    for direction, title in TITLES.items():
        rows: dict[str, dict[str, CellResult]] = {}
        for cell in study.cells:
            if (cell.direction or THERE) == direction:
                rows.setdefault(cell.workload, {})[cell.variant] = cell
        methods = [name for name in (ALONE, *METHODS) if any(name in cells for cells in rows.values())]
        yield title, make_table(["size", *methods], [_row(cells, methods) for cells in rows.values()])


def legend(_: Study) -> Iterator[str]:
    """Yield what the columns mean."""
    yield LEGEND


def _row(cells: Mapping[str, CellResult], methods: Sequence[str]) -> list[str | Text]:
    best = fastest([cell for name, cell in cells.items() if name in TRANSPORTS])
    size = next(iter(cells.values())).array_bytes
    texts = [_cell(cells.get(name), marked=cells.get(name) is best) for name in methods]
    return [INTEGER if size is None else format_bytes(size), *texts]


def _cell(cell: CellResult | None, *, marked: bool) -> Text:
    if cell is None:
        return Text("")
    if cell.status != MEASURED:
        return failed(cell.status)
    return Text(f"{pace(cell) or '–'}{'*' if marked else ' '}", style="bold" if marked else "")
