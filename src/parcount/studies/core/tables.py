"""What the tables of all studies share: the columns of speedups, and the table of claims."""

from __future__ import annotations

import math
from collections.abc import Sequence

from parcount.report.table import Column, Styled, Table
from parcount.report.units import in_words, plural
from parcount.studies.core.analysis import FAILED, MEASURED, CellResult
from parcount.studies.core.claims import Claim
from parcount.studies.core.statistics import Estimate

INTERVAL = "[95 %]"
"""The header of intervals."""

DETAIL = 1000
"""The rank of columns that are shown with details only: after all others."""


def speedup_columns(workers: Sequence[int], cores: float = math.inf) -> list[Column]:
    """Return two columns for each number of workers: the speedup, and its interval.

    The most important is the greatest number of workers for which there are `cores`, then come smaller ones, then those
    for which there are no cores, which are marked. The ranks leave 2 free, for the rate.
    """
    ordered = sorted(workers, key=lambda count: (count > cores, count if count > cores else -count))
    columns = []
    for count in workers:
        name = f"{plural(count, 'worker')}{'*' if count > cores else ''}"
        place = ordered.index(count)
        columns += [
            Column(name, 4 + place if place else 1),
            interval_column(name, 4 + len(workers) + place if place else 3),
        ]
    return columns


def interval_column(name: str, rank: int) -> Column:
    """Return the column for the intervals of another."""
    return Column(INTERVAL, rank, label=f"{INTERVAL} of {name}")


def speedup_cells(cell: CellResult | None) -> tuple[str, str]:
    """Return the speedup of a cell and its interval, for these columns."""
    if cell is None:
        return "", ""
    if cell.status != MEASURED or cell.speedup is None:
        return status(cell), ""
    return f"{cell.speedup.median:.2f}×", interval(cell.speedup)


def interval(estimate: Estimate | None, digits: int = 2) -> str:
    """Return an interval as text."""
    return "" if estimate is None else f"[{estimate.low:.{digits}f}–{estimate.high:.{digits}f}]"


def status(cell: CellResult) -> Styled:
    """Return what a table has in place of a number that was not measured; the reason is told below the table."""
    return Styled("failed", "red") if cell.status == FAILED else Styled("–", "dim")


def start_up(cell: CellResult) -> str:
    """Return the start-up time of a cell's workers."""
    return "" if cell.startup is None else f"{cell.startup * 1000:.{0 if cell.startup > 0.01 else 1}f} ms"


def pays_from(cell: CellResult) -> str:
    """Return the units of work from which starting a cell's workers pays."""
    if cell.startup is None or cell.speedup is None:
        return ""
    if cell.break_even is None:
        return "never"
    return in_words(cell.break_even) if cell.break_even else "at once"


def claims_table(claims: Sequence[Claim]) -> Table:
    """Return the claims that a verdict rests on."""
    columns = [
        Column("holds", 1),
        Column("median", 2),
        Column("interval", 3),
        Column("above", 4),
        Column("quantity", 5, left=True),
        Column("claim", left=True, least=24),
    ]
    rows = [
        (
            {True: "yes", False: "no", None: "undecided"}[claim.holds],
            "–" if claim.estimate is None else f"{claim.estimate.median:.2f}",
            interval(claim.estimate),
            f"{claim.bound:g}",
            claim.quantity,
            claim.statement,
        )
        for claim in claims
    ]
    return Table("claims: that the median of a quantity is above a bound", columns, rows)
