"""The tables of the study of the journal: records per second, what gets lost, and the time of an append."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from parcount.report.table import Column, Styled, Table
from parcount.report.units import format_bytes, format_seconds, grouped
from parcount.studies.core.analysis import MEASURED, CellResult
from parcount.studies.core.result import Study
from parcount.studies.core.statistics import Estimate, estimate
from parcount.studies.core.tables import status
from parcount.studies.journal.methods import METHODS
from parcount.studies.journal.verdict import USUAL_BYTES, appended, faults

LEGEND = (
    "Records per second of all writers together, median. wrong: the largest share of records that are lost, torn, "
    "duplicated or behind a later one of their writer."
)

DETAILS = "append: time from one append of a writer to its next, with its 95 % interval."


def tables(study: Study) -> Iterator[Table]:
    """Yield a table for each execution and number of writers: a row for each method, a column for each size."""
    sizes = sorted({cell.record_bytes or 0 for cell in study.cells})
    # The usual size first, then the others from both ends.
    ranked = sorted(sizes, key=lambda size: (abs(size - USUAL_BYTES) != 0, -abs(sizes.index(size) - len(sizes) / 2)))
    columns = [Column(format_bytes(size), 2 + ranked.index(size)) for size in sizes]
    for (execution, workers), rows in _rows(study.cells).items():
        who = "one writer" if execution == "serial" else f"{workers} {execution}"
        texts = [
            [method, *(_rate(row.get(size)) for size in sizes), _wrong([*row.values()])] for method, row in rows.items()
        ]
        yield Table(f"{who}: records per second", [Column("method", left=True), *columns, Column("wrong", 1)], texts)
    yield _times(study)


def legend(study: Study, *, details: bool = False) -> Iterator[str]:
    """Yield what the columns mean, where the files were, and what the methods are."""
    yield LEGEND
    each = study.options.get("sync") == "record"
    sync = "each record is on the disk when its append returns" if each else "not synced"
    yield f"Files on {study.environment.get('file_system') or 'an unknown file system'}, {sync}."
    variants = dict.fromkeys(cell.variant for cell in study.cells)
    yield "; ".join(f"{name}: {METHODS[name].what}" for name in variants if name in METHODS) + "."
    if details:
        yield DETAILS


def append_time(cell: CellResult) -> Estimate | None:
    """Return the seconds from one append of a writer to its next; None if there were none."""
    if not (cell.work and cell.seconds):
        return None
    return estimate([seconds * cell.workers / cell.work for seconds in cell.seconds])


def wrong_share(cells: Sequence[CellResult]) -> float:
    """Return the largest share of the records of a cell with one kind of fault."""
    return max((count / appended(cell) for cell in cells for count in faults(cell).values()), default=0.0)


def _rows(cells: Sequence[CellResult]) -> dict[tuple[str, int], dict[str, dict[int, CellResult]]]:
    found: dict[tuple[str, int], dict[str, dict[int, CellResult]]] = {}
    for cell in cells:
        rows = found.setdefault((cell.execution, cell.workers), {})
        rows.setdefault(cell.variant, {})[cell.record_bytes or 0] = cell
    return found


def _rate(cell: CellResult | None) -> str:
    if cell is None:
        return ""
    if cell.status != MEASURED or not cell.rate:
        return status(cell)
    return grouped(float(f"{cell.rate:.3g}"))


def _wrong(cells: Sequence[CellResult]) -> str:
    if not any(cell.seconds for cell in cells):
        return Styled("–", "dim")
    share = wrong_share(cells)
    return Styled(f"{100 * share:.2g} %", "red") if share else "none"


def _times(study: Study) -> Table:
    """A row for each cell: the time of an append, and what was wrong."""
    columns = [
        Column("method", left=True),
        Column("records", left=True),
        Column("on", left=True),
        Column("append", 1),
        Column("95 % interval", 3),
        Column("rounds", 4),
        Column("wrong", 2, left=True),
    ]
    rows = []
    for cell in study.cells:
        if (time := append_time(cell)) is not None:
            ends = f"{format_seconds(time.low)} – {format_seconds(time.high)}"
            who = "one writer" if cell.execution == "serial" else f"{cell.workers} {cell.execution}"
            wrong = ", ".join(f"{count} {name}" for name, count in faults(cell).items()) or "none"
            size = format_bytes(cell.record_bytes or 0)
            rows.append((cell.variant, size, who, format_seconds(time.median), ends, str(len(cell.seconds)), wrong))
    return Table("time of an append", columns, rows, details=True)
