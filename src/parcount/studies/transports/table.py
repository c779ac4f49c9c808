"""The tables of the study of transports: arrays to a worker, and back."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from parcount.report.table import Column, Styled, Table
from parcount.report.units import format_bytes, format_seconds
from parcount.studies.core.analysis import MEASURED, CellResult
from parcount.studies.core.claims import Claim
from parcount.studies.core.result import Study
from parcount.studies.core.statistics import Estimate, estimate
from parcount.studies.core.tables import status
from parcount.studies.transports.verdict import ALONE, BACK, METHODS, THERE, pace

TITLES = {
    THERE: "there: to a worker, which reads the array and returns a checksum; an integer is returned itself",
    BACK: "back: made by a worker, and read by this process",
}

COLUMNS = {
    "pipe": "pipe",
    "shared array": "shared\narray",
    "shared_memory": "shared_\nmemory",
    "pickle": "pickle",
    "mapped file": "mapped\nfile",
    "queue": "queue",
    ALONE: "work\nalone",
}
"""The header of each method, the most important first."""

LEGEND = (
    "Median of one trip: its time, or for large arrays bytes per second (1 kB is 1024 bytes). *: the fastest "
    "transport, and those that are not measurably slower. shared array, mapped file: only the name is sent."
)

DETAILS = "work alone: making and reading the array without a worker."


def tables(study: Study) -> Iterator[Table]:
    """Yield a table for each direction: a row for each size, a column for each method; then those of details."""
    for direction, title in TITLES.items():
        rows: dict[str, dict[str, CellResult]] = {}
        for cell in study.cells:
            if (cell.direction or THERE) == direction:
                rows.setdefault(cell.workload, {})[cell.variant] = cell
        methods = [name for name in (ALONE, *METHODS) if any(name in cells for cells in rows.values())]
        ranks = {name: rank for rank, name in enumerate(COLUMNS, 1)}
        columns = [Column(COLUMNS[name], ranks[name], details=name == ALONE) for name in methods]
        texts = [_row(cells, methods, study.verdict.claims) for cells in rows.values()]
        yield Table(title, [Column("size", left=True), *columns], texts)
    yield _times(study)


def legend(study: Study, *, details: bool = False) -> Iterator[str]:  # noqa: ARG001 - of other studies
    """Yield what the columns mean."""
    yield LEGEND
    if details:
        yield DETAILS


def time_of_trip(cell: CellResult) -> Estimate | None:
    """Return the seconds of one trip; None if it was not measured."""
    if cell.status != MEASURED or not (cell.work and cell.seconds):
        return None
    return estimate([seconds * (cell.array_bytes or 1) / cell.work for seconds in cell.seconds])


def _row(cells: Mapping[str, CellResult], methods: Sequence[str], claims: Sequence[Claim]) -> list[str]:
    """A row of one size. Transports are marked if they are not slower than the fastest, and another is."""
    names = {str(cell.cell) for cell in cells.values()}
    here = [claim for claim in claims if names.issuperset(claim.cells)]
    slower = {claim.cells[1] for claim in here if claim.holds}
    fastest = {name for claim in here for name in claim.cells} - slower if slower else set()
    size = next(iter(cells.values())).array_bytes
    return ["integer" if size is None else format_bytes(size), *(_cell(cells.get(name), fastest) for name in methods)]


def _cell(cell: CellResult | None, fastest: Collection[str]) -> str:
    if cell is None:
        return ""
    if cell.status != MEASURED or not cell.rate:
        return Styled(f"{status(cell)} ", status(cell).style)
    return Styled(f"{pace(cell)}*", "bold") if str(cell.cell) in fastest else f"{pace(cell)} "


def _times(study: Study) -> Table:
    """A row for each cell: the time of one trip, and its interval."""
    columns = [
        Column("trip", left=True),
        Column("by", left=True),
        Column("median", 1),
        Column("95 % interval", 2),
        Column("rounds", 3),
    ]
    rows = []
    for cell in study.cells:
        if (time := time_of_trip(cell)) is not None:
            ends = f"{format_seconds(time.low)} – {format_seconds(time.high)}"
            rows.append((cell.workload, cell.variant, format_seconds(time.median), ends, str(len(cell.seconds))))
    return Table("time of one trip", columns, rows, details=True)
