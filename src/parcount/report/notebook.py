"""Results in notebooks: HTML without scripts, and a progress bar."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from time import monotonic
from typing import TYPE_CHECKING

from parcount.report.table import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Progress = Callable[[str, float, float], None]

BETWEEN = 0.5
"""Seconds from one update of the bar to the next: a thread of the kernel sends each, which takes time of a core."""

STYLES = {"red": "color: #d03050", "green": "color: #009e73", "dim": "opacity: 0.65", "bold": "font-weight: bold"}


def to_html(
    sentences: Sequence[str], tables: Iterable[Table], legend: Iterable[str], draw: Callable[[], Figure]
) -> str:
    """Return HTML of a result: the answer, the tables, the figure, and the other sentences folded.

    The figure is left out where Matplotlib is not installed.
    """
    answer, *others = sentences
    parts = [f"<p><b>{escape(answer)}</b></p>"]
    if shown := [table.first_sight() for table in tables]:
        parts += [
            *map(_table, shown),
            f'<p style="opacity: 0.65">{"<br>".join(map(escape, legend))}</p>',
            _figure(draw, answer),
        ]
    if others:
        parts.append(
            f"<details><summary>more</summary>{''.join(f'<p>{escape(text)}</p>' for text in others)}</details>"
        )
    return f"<div>{''.join(parts)}</div>"


def _table(table: Table) -> str:
    sides = ["left" if column.left else "right" for column in table.columns]

    def cell(kind: str, text: str, side: str) -> str:
        style = STYLES.get(getattr(text, "style", ""), "")
        return f'<{kind} style="text-align: {side}; padding: 0.1em 0.7em 0.1em 0; {style}">{escape(text)}</{kind}>'

    names = [column.name.replace("\n", " ") for column in table.columns]
    header = "".join(cell("th", name, side) for name, side in zip(names, sides, strict=True))
    rows = ["".join(cell("td", text, side) for text, side in zip(row, sides, strict=True)) for row in table.body()]
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    caption = f'<caption style="text-align: left">{escape(table.title)}</caption>' if table.title else ""
    return f"<table>{caption}<thead><tr>{header}</tr></thead><tbody>{body}</tbody></table>"


def _figure(draw: Callable[[], Figure], title: str) -> str:
    try:
        from parcount.report.svg import inline_figure

        figure = draw()
    except ImportError:
        return ""
    width = round(96 * figure.get_figwidth())
    svg = inline_figure(figure, title, f"p{zlib.crc32(title.encode()):x}-")
    return f'<div style="max-width: {width}px; font-family: DejaVu Sans, Verdana, sans-serif">{svg}</div>'


@contextmanager
def shown_progress(progress: Progress | None) -> Iterator[Progress | None]:
    """Yield what was given to report progress to; if nothing was, a bar in a notebook, and nothing elsewhere."""
    if progress is not None or not _in_notebook():
        yield progress
        return
    from IPython.display import HTML, display

    bar = display(HTML(""), display_id=True)
    shown = -BETWEEN

    def report(what: str, passed: float, expected: float) -> None:
        nonlocal shown
        if (now := monotonic()) - shown >= BETWEEN:
            shown = now
            left = f"{escape(what)}, {expected - passed:.0f} s left"
            bar.update(HTML(f'<progress value="{passed:.1f}" max="{expected:.1f}"></progress> {left}'))

    try:
        yield report
    finally:
        bar.update(HTML(""))


def _in_notebook() -> bool:
    """Whether this process is a kernel of Jupyter, whose front end shows HTML."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None
