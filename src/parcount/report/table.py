"""Tables as text, without the columns for which there is no room."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

GAP = "  "


class Styled(str):
    """Text with a style: "bold", "dim", "red" or "green"."""

    style: str

    def __new__(cls, text: str, style: str) -> Self:
        """Return the text with this style."""
        styled = super().__new__(cls, text)
        styled.style = style
        return styled


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    name : str
        Its header, of one line or more.
    rank : int
        Its importance. Columns of rank 0 name the row and are always shown. Of the others, those with the highest rank
        are left out first, where there is no room.
    left : bool
        Whether it is aligned to the left.
    details : bool
        Whether it is shown only if details are asked for.
    least : int or None
        Of the last column: the width from which on its texts may be wrapped. Others are never wrapped.
    label : str
        What it is called where it is left out, if not by its name.
    """

    name: str
    rank: int = 0
    left: bool = False
    details: bool = False
    least: int | None = None
    label: str = ""


@dataclass(frozen=True)
class Table:
    r"""A table of text. Text is never cut, and a row is one line, unless the last column may be wrapped.

    Examples
    --------
    >>> table = Table("", [Column("n"), Column("square", 1), Column("cube", 2)], [["2", "4", "8"], ["3", "9", "27"]])
    >>> print(*table.lines(), sep="\n")
    n  square  cube
    2       4     8
    3       9    27
    >>> print(*table.fit(10).lines(), sep="\n")
    n  square
    2       4
    3       9
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    details: bool = False
    """Whether it is shown only if details are asked for."""

    @property
    def widths(self) -> list[int]:
        """The width of each column."""
        headers = [max(map(len, column.name.split("\n"))) for column in self.columns]
        return [max([header, *(len(row[index]) for row in self.rows)]) for index, header in enumerate(headers)]

    @property
    def width(self) -> int:
        """The width of the longest line, after what may be wrapped is."""
        columns = zip(self.widths, self.columns, strict=True)
        least = [width if column.least is None else min(width, column.least) for width, column in columns]
        return sum(least) + len(GAP) * (len(self.columns) - 1)

    def only(self, columns: Sequence[Column]) -> Table:
        """Return the table with some of its columns."""
        kept = [index for index, column in enumerate(self.columns) if column in columns]
        rows = [[row[index] for index in kept] for row in self.rows]
        return replace(self, columns=[self.columns[index] for index in kept], rows=rows)

    def first_sight(self) -> Table:
        """Return the table without details."""
        return self.only([column for column in self.columns if not column.details])

    def fit(self, width: int) -> Table:
        """Return the table without its least important columns, so that the others fit; the first of them stays."""
        shown = self
        ranks = sorted({column.rank for column in self.columns} - {0})
        while shown.width > width and len(ranks) > 1:
            last = ranks.pop()
            shown = shown.only([column for column in shown.columns if column.rank < last])
        return shown._wrapped(width)

    def parts(self, width: int) -> Iterator[Table]:
        """Yield tables that together have all columns, each as wide as fits, and each with the columns of rank 0."""
        shown = self.fit(width)
        yield shown
        rest = [column for column in self.columns if not column.rank or column not in shown.columns]
        if len(shown.columns) < len(self.columns):
            yield from self.only(rest).parts(width)

    def _wrapped(self, width: int) -> Table:
        """The last column in several lines, if it may be."""
        least = self.columns[-1].least
        if least is None:
            return self
        room = max(least, width - self.width + min(self.widths[-1], least))
        rows: list[Sequence[str]] = []
        for *cells, text in self.rows:
            first, *others = textwrap.wrap(text, room) or [""]
            rows += [[*cells, first], *([*[""] * len(cells), line] for line in others)]
        return replace(self, rows=rows)

    def header(self) -> list[list[str]]:
        """Return the lines of the header, the last of each column on the same line."""
        names = [column.name.split("\n") for column in self.columns]
        height = max(map(len, names), default=0)
        return [[*line] for line in zip(*([""] * (height - len(name)) + name for name in names), strict=True)]

    def body(self) -> list[list[str]]:
        """Return the rows. The name that starts a row is left out if it equals that of the row before."""
        if not self.columns[0].left:
            return [[*row] for row in self.rows]
        before = [None, *(row[0] for row in self.rows)]
        return [
            ["" if first == above else first, *row] for (first, *row), above in zip(self.rows, before, strict=False)
        ]

    def aligned(self, row: Sequence[str]) -> list[str]:
        """Return a row whose texts are as wide as their columns."""
        cells = zip(row, self.widths, self.columns, strict=True)
        return [text.ljust(width) if column.left else text.rjust(width) for text, width, column in cells]

    def lines(self) -> list[str]:
        """Return the header and the rows as lines of text."""
        return [GAP.join(self.aligned(row)).rstrip() for row in (*self.header(), *self.body())]
