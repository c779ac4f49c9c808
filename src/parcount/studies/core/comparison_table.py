"""The tables of a comparison: rates side by side with their ratios, and speedups side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from string import ascii_uppercase
from typing import TextIO

from rich.text import Text

from parcount.report.style import machine
from parcount.report.table import Column, Styled, Table
from parcount.report.terminal import open_console, print_legend, print_sentences, print_table
from parcount.report.units import grouped
from parcount.studies.core.analysis import MEASURED, CellResult
from parcount.studies.core.comparison import FASTER, SLOWER, ComparedCell, StudyComparison, format_ratio

UNITS = {
    "increment": ("million increments", 1e6),
    "page": ("pages", 1.0),
    "byte": ("MB", float(1 << 20)),
    "trip": ("trips", 1.0),
}
"""The units of rates in the table, with their sizes in units of work."""

LEGEND = (
    "Rates are medians. The ratio has the 95 % interval of these rounds: of twenty cells that are equal, one may be "
    "called faster or slower by chance. It does not cover what changes between runs; two runs on one machine show how "
    "much that is. Speedups are relative to the serial cell, or in transports to the work alone, in the same round."
)


def show(comparison: StudyComparison, stream: TextIO) -> None:
    """Print what is compared, the sentences and the tables; columns for which a table has no room follow in another."""
    console = open_console(stream)
    letters = [ascii_uppercase[index] if index < 26 else f"#{index + 1}" for index in range(len(comparison.names))]
    for letter, name, study in zip(letters, comparison.names, comparison.studies, strict=True):
        console.print(Text(f"{letter}: {name}, measured {study.environment['time']} on {machine(study)}"))
    print_sentences(console, comparison.sentences)
    for pair, letter in zip(comparison.pairs, letters[1:], strict=True):
        for title, cells in _by_workload(pair.cells):
            print_table(console, _table(title, cells, letters[0], letter), details=True)
    print_legend(console, [LEGEND])


def _by_workload(cells: Sequence[ComparedCell]) -> Iterator[tuple[str, list[ComparedCell]]]:
    for workload in dict.fromkeys(cell.first.workload for cell in cells):
        found = [cell for cell in cells if cell.first.workload == workload]
        yield f"{workload}: {UNITS[found[0].first.unit][0]} per second", found


def _table(title: str, cells: Sequence[ComparedCell], first: str, other: str) -> Table:
    names = (first, other, f"{other} / {first}", "difference", f"speedup {first}", f"speedup {other}")
    columns = [Column(name, rank, left=name == "difference") for rank, name in enumerate(names, 1)]
    rows = [
        (
            cell.first.variant,
            _place(cell.first),
            _rate(cell.first),
            _rate(cell.other),
            format_ratio(cell),
            _difference(cell),
            _speedup(cell.first),
            _speedup(cell.other),
        )
        for cell in cells
    ]
    return Table(title, [Column("variant", left=True), Column("on", left=True), *columns], rows)


def _place(cell: CellResult) -> str:
    return "serial" if cell.execution == "serial" else f"{cell.execution} {cell.workers}"


def _rate(cell: CellResult) -> str:
    if cell.status != MEASURED:
        return Styled(cell.status, "red")
    if cell.rate is None:
        return "–"
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
