"""The tables of a comparison: rates side by side with their ratios, and speedups side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from string import ascii_uppercase
from typing import TextIO

from parcount.report.style import machine
from parcount.report.table import Column, Styled, Table
from parcount.report.terminal import open_console, print_answer, print_legend, print_sentences, print_table
from parcount.report.units import grouped
from parcount.studies.core.analysis import MEASURED, CellResult
from parcount.studies.core.comparison import FASTER, SLOWER, ComparedCell, StudyComparison
from parcount.studies.core.tables import INTERVAL, interval, status

UNITS = {
    "increment": ("million increments", 1e6),
    "page": ("pages", 1.0),
    "byte": ("MB", float(1 << 20)),
    "trip": ("trips", 1.0),
    "call": ("calls", 1.0),
    "record": ("records", 1.0),
}
"""The units of rates in the table, with their sizes in units of work."""

LEGEND = (
    "Rates are medians. The ratio has the 95 % interval of these rounds: of twenty cells that are equal, one may be "
    "called faster or slower by chance. It does not cover what changes between runs; two runs on one machine show how "
    "much that is. Speedups are relative to the serial cell, or in transports to the work alone, in the same round."
)


def show(comparison: StudyComparison, stream: TextIO, details: bool = False) -> None:
    """Print the answer, what is compared, the tables, and the other sentences."""
    console = open_console(stream)
    answer, *others = comparison.sentences
    print_answer(console, answer)
    names = letters(len(comparison.names))
    compared = zip(names, comparison.names, comparison.studies, strict=True)
    print_sentences(
        console,
        [f"{letter}: {name}, {study.environment['time']}, {machine(study)}." for letter, name, study in compared],
    )
    for table in tables(comparison):
        print_table(console, table, details=details)
    print_legend(console, [LEGEND])
    print_sentences(console, others)


def tables(comparison: StudyComparison) -> Iterator[Table]:
    """Yield a table of each workload for each pair: a row for each cell that both have."""
    first, *others = letters(len(comparison.names))
    for pair, other in zip(comparison.pairs, others, strict=True):
        columns = [
            Column("variant", left=True),
            Column("on", left=True),
            Column(first, 3),
            Column(other, 3),
            Column(f"{other} / {first}", 1),
            Column(INTERVAL, 1),
            Column("difference", 2, left=True),
            Column(f"speedup {first}", 4),
            Column(f"speedup {other}", 5),
        ]
        for workload in dict.fromkeys(cell.first.workload for cell in pair.cells):
            cells = [cell for cell in pair.cells if cell.first.workload == workload]
            title = f"{workload}: {UNITS[cells[0].first.unit][0]} per second"
            yield Table(title, columns, [_row(cell) for cell in cells])


def letters(count: int) -> list[str]:
    """Return short names of results, for the heads of columns."""
    return [ascii_uppercase[index] if index < len(ascii_uppercase) else f"#{index + 1}" for index in range(count)]


def _row(cell: ComparedCell) -> Sequence[str]:
    first, other = cell.first, cell.other
    return (
        first.variant,
        "serial" if first.execution == "serial" else f"{first.execution} {first.workers}",
        _rate(first),
        _rate(other),
        "–" if cell.ratio is None else f"{cell.ratio:.2f}×",
        interval(cell.interval),
        _difference(cell),
        _speedup(first),
        _speedup(other),
    )


def _rate(cell: CellResult) -> str:
    if cell.status != MEASURED or cell.rate is None:
        return status(cell)
    rate = float(f"{cell.rate / UNITS[cell.unit][1]:.3g}")
    return grouped(rate) if rate >= 100 else f"{rate:#.3g}"


def _difference(cell: ComparedCell) -> str:
    if cell.difference is None:
        return ""
    if cell.difference not in (FASTER, SLOWER):
        return "none shown"
    return Styled(cell.difference, "green" if cell.difference == FASTER else "red")


def _speedup(cell: CellResult) -> str:
    return "" if cell.speedup is None or cell.execution == "serial" else str(cell.speedup)
