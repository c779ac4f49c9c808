"""The terminal: a progress bar, and a console for tables and sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

WIDTH_OF_A_FILE = 120
"""Columns of the table where it is not written to a terminal."""


class _Console(Console):
    """A console that raises BrokenPipeError rather than end the process."""

    def on_broken_pipe(self) -> None:
        raise  # the BrokenPipeError that is being handled


@contextmanager
def progress_bar(stream: TextIO) -> Iterator[Callable[[str, float, float], None]]:
    """A bar with the time left, on a terminal; nothing elsewhere.

    Yields
    ------
    callable
        As `parcount.study` takes for its `progress`.
    """
    console = Console(file=stream)
    columns = (TextColumn("{task.description:<32.32}"), BarColumn(), TimeRemainingColumn(), TextColumn("left"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("starting", total=None)

        def told(what: str, passed: float, expected: float) -> None:
            progress.update(task, description=what, completed=passed, total=expected)

        yield told


def open_console(stream: TextIO) -> Console:
    """Return a console that prints on a stream, as wide as the terminal or wide enough for the tables."""
    console = _Console(file=stream, highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, WIDTH_OF_A_FILE)
    return console


def print_sentences(sentences: Sequence[str], console: Console) -> None:
    """Print a verdict, its first sentence in bold."""
    console.print()
    first, *others = sentences
    console.print(Text(first, style="bold"))
    for sentence in others:
        console.print(Text(sentence))
