"""A study in the terminal: the progress bar while it runs, then the table and the verdict."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from parcount.studies import Progress as Told
from parcount.studies.core.result import Study

WIDTH_OF_A_FILE = 120
"""Columns of the table where it is not written to a terminal."""


class _Console(Console):
    """A console that raises BrokenPipeError rather than end the process."""

    def on_broken_pipe(self) -> None:
        raise  # the BrokenPipeError that is being handled


@contextmanager
def progress_bar(stream: TextIO) -> Iterator[Told]:
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


def show(study: Study, stream: TextIO) -> None:
    """Print a study: the tables of its question, then the verdict."""
    console = _Console(file=stream, highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, WIDTH_OF_A_FILE)
    import_module(f"parcount.studies.{study.question}.table").show(study, console)
    console.print()
    first, *others = study.verdict.sentences
    console.print(Text(first, style="bold"))
    for sentence in others:
        console.print(Text(sentence))
