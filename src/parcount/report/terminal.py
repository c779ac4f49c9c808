"""The terminal: a progress bar, and a console for tables and sentences."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

WIDTH_OF_A_FILE = 120
"""Columns of the table where it is not written to a terminal."""


class _Console(Console):
    """A console that raises BrokenPipeError rather than end the process."""

    def on_broken_pipe(self) -> None:
        raise  # the BrokenPipeError that is being handled


@contextmanager
def progress_bar(stream: TextIO) -> Iterator[Callable[[str, float, float], None]]:
    """Show a bar with the time left, on a terminal; nothing elsewhere.

    Yields
    ------
    callable
        As `parcount.study` takes for its `progress`.
    """
    console = Console(file=stream)
    columns = (TextColumn("{task.description:<32.32}"), BarColumn(), TimeRemainingColumn(), TextColumn("left"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("starting", total=None)

        def report(what: str, passed: float, expected: float) -> None:
            progress.update(task, description=what, completed=passed, total=expected)

        yield report


def open_console(stream: TextIO) -> Console:
    """Return a console that prints on a stream, as wide as the terminal or wide enough for the tables."""
    console = _Console(file=stream, highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, WIDTH_OF_A_FILE)
    return console


def make_table(
    header: Sequence[str], rows: Iterable[Sequence[str | Text]], left: Sequence[str] = (), wrapped: str | None = None
) -> Table:
    """Return a table. The first cell of a row is left out if it equals that of the row before.

    The columns in `left` and the one that may be `wrapped` are aligned to the left.
    """
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in header:
        table.add_column(name, justify="left" if name in (*left, wrapped) else "right", no_wrap=name != wrapped)
    before: str | Text | None = None
    for first, *cells in rows:
        table.add_row("" if first == before else first, *cells)
        before = first
    return table


def print_table(console: Console, title: str, wide: Table, narrow: Table) -> None:
    """Print the wide form of a table, or the narrow one where that does not fit, below its title, if it has one."""
    console.print()
    if title:
        console.print(Text(title, style="bold"))
    unbounded = console.options.update(max_width=sys.maxsize)
    console.print(wide if console.measure(wide, options=unbounded).maximum <= console.width else narrow)


def print_legend(console: Console, lines: Iterable[str]) -> None:
    """Print what the columns of tables mean."""
    console.print(Text("\n".join(lines), style="dim"))


def print_sentences(console: Console, sentences: Sequence[str]) -> None:
    """Print a verdict, its first sentence in bold."""
    console.print()
    first, *others = sentences
    console.print(Text(first, style="bold"))
    for sentence in others:
        console.print(Text(sentence))


def failed(status: str) -> Text:
    """Return the status of a cell that was not measured."""
    return Text(status, style="red")
