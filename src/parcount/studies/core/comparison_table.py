"""The tables of a comparison: rates side by side with their ratios, and speedups side by side."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from string import ascii_uppercase
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from parcount.report.style import machine
from parcount.report.terminal import failed, make_table, open_console, print_legend, print_sentences, print_table
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

Column = tuple[str, Callable[[ComparedCell], str | Text]]


def show(comparison: StudyComparison, stream: TextIO) -> None:
    """Print what is compared, the sentences and the tables; columns for which a table has no room follow in another."""
    console = open_console(stream)
    letters = [ascii_uppercase[index] if index < 26 else f"#{index + 1}" for index in range(len(comparison.names))]
    for letter, name, study in zip(letters, comparison.names, comparison.studies, strict=True):
        console.print(Text(f"{letter}: {name}, measured {study.environment['time']} on {machine(study)}"))
    print_sentences(console, comparison.sentences)
    for pair, letter in zip(comparison.pairs, letters[1:], strict=True):
        for title, cells in _by_workload(pair.cells):
            for table in _fitting(console, cells, _columns(letters[0], letter)):
                print_table(console, title, table, table)
                title = ""
    print_legend(console, [LEGEND])


def _fitting(console: Console, cells: Sequence[ComparedCell], columns: Sequence[Column]) -> Iterator[Table]:
    """Yield as few tables as can have all columns."""
    unbounded = console.options.update(max_width=sys.maxsize)
    while columns:
        count = len(columns)
        while count > 1 and console.measure(_table(cells, columns[:count]), options=unbounded).maximum > console.width:
            count -= 1
        yield _table(cells, columns[:count])
        columns = columns[count:]


def _by_workload(cells: Sequence[ComparedCell]) -> Iterator[tuple[str, list[ComparedCell]]]:
    for workload in dict.fromkeys(cell.first.workload for cell in cells):
        found = [cell for cell in cells if cell.first.workload == workload]
        yield f"{workload}: {UNITS[found[0].first.unit][0]} per second", found


def _table(cells: Sequence[ComparedCell], columns: Sequence[Column]) -> Table:
    rows = [(cell.first.variant, _place(cell.first), *(value(cell) for _, value in columns)) for cell in cells]
    return make_table(["variant", "on", *(name for name, _ in columns)], rows, ("variant", "on", "difference"))


def _columns(first: str, other: str) -> list[Column]:
    return [
        (first, lambda cell: _rate(cell.first)),
        (other, lambda cell: _rate(cell.other)),
        (f"{other} / {first}", format_ratio),
        ("difference", _difference),
        (f"speedup {first}", lambda cell: _speedup(cell.first)),
        (f"speedup {other}", lambda cell: _speedup(cell.other)),
    ]


def _place(cell: CellResult) -> str:
    return "serial" if cell.execution == "serial" else f"{cell.execution} {cell.workers}"


def _rate(cell: CellResult) -> str | Text:
    if cell.status != MEASURED:
        return failed(cell.status)
    if cell.rate is None:
        return "–"
    rate = float(f"{cell.rate / UNITS[cell.unit][1]:.3g}")
    return grouped(rate) if rate >= 100 else f"{rate:#.3g}"


def _difference(cell: ComparedCell) -> str | Text:
    if cell.difference is None:
        return ""
    if cell.difference not in (FASTER, SLOWER):
        return "none shown"
    return Text(cell.difference, style="green" if cell.difference == FASTER else "red")


def _speedup(cell: CellResult) -> str:
    return "" if cell.speedup is None or cell.execution == "serial" else str(cell.speedup)
