"""The terminal: a progress bar, and a console for tables and sentences."""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from parcount.report.table import GAP, Table

WIDTH_OF_A_FILE = 80
"""Columns of what is not written to a terminal, unless the variable COLUMNS is set."""


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


def open_console(stream: TextIO, width: int | None = None) -> Console:
    """Return a console that prints on a stream.

    It is as wide as the terminal, or `WIDTH_OF_A_FILE`. If a width is given, it prints plain text.
    """
    plain = False if width is not None else None
    console = _Console(file=stream, highlight=False, force_jupyter=False, force_terminal=plain)
    if width is not None:
        console.width = width
    elif not console.is_terminal and not os.environ.get("COLUMNS", "").isdecimal():
        console.width = WIDTH_OF_A_FILE
    return console


def print_table(console: Console, table: Table, *, details: bool = False) -> None:
    """Print a table below its title.

    Columns that do not fit are left out, and named. With details, they follow in further tables.
    """
    console.print()
    if table.title:
        _print_text(console, table.title, "bold")
    wanted = table if details else table.first_sight()
    parts = [*wanted.parts(console.width)] if details else [wanted.fit(console.width)]
    for part in parts:
        for row in part.header():
            _print_row(console, part, row, "dim")
        for row in part.body():
            _print_row(console, part, row)
    shown = {column for part in parts for column in part.columns}
    if left_out := [column for column in wanted.columns if column not in shown]:
        names = [column.label or column.name.replace("\n", " ") for column in left_out]
        print_legend(console, [f"Left out for lack of width: {', '.join(names)}."])


def _print_row(console: Console, table: Table, row: Sequence[str], style: str = "") -> None:
    """Print a row in one line, also where that is wider than the console."""
    texts = [Text(text, getattr(cell, "style", style)) for cell, text in zip(row, table.aligned(row), strict=True)]
    line = Text(GAP).join(texts)
    line.rstrip()
    console.print(line, soft_wrap=True)


def print_legend(console: Console, lines: Iterable[str]) -> None:
    """Print what the columns of tables mean."""
    for line in lines:
        _print_text(console, line, "dim")


def print_answer(console: Console, sentence: str) -> None:
    """Print the sentence that matters most."""
    _print_text(console, sentence, "bold")


def print_sentences(console: Console, sentences: Sequence[str]) -> None:
    """Print sentences, each from the start of a line on, after an empty line."""
    if sentences:
        console.print()
    for sentence in sentences:
        _print_text(console, sentence)


def _print_text(console: Console, text: str, style: str = "") -> None:
    """Print text in lines that fit, and no number on two of them."""
    whole = re.sub(r"(?<=[\d×]) (?=[\d\[%]|([nµm]?s|[kMG]B)\b)", "\xa0", text)
    for line in textwrap.wrap(whole, console.width, break_long_words=False, break_on_hyphens=False):
        console.print(Text(line.replace("\xa0", " "), style=style), soft_wrap=True)
