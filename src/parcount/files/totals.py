"""Totals of files: the numbers of lines, words and bytes."""

from __future__ import annotations

import struct
from typing import Literal, Self, get_args

from parcount._native.text_scan import TextCounter, find_space, rfind_space
from parcount.files.count import Count, Partial, Source, find_behind

Kind = Literal["lines", "words", "bytes"]

STORED = struct.Struct("<3Q")


class TotalsPartial(TextCounter, Partial):
    """The `lines`, `words` and `bytes` of some chunks; what is not counted is 0."""

    def merge(self, other: Self) -> None:
        """Add the totals of another partial."""
        self.add(other.lines, other.words, other.bytes)

    def to_bytes(self) -> bytes:
        """Return the totals as bytes."""
        return STORED.pack(self.lines, self.words, self.bytes)

    def close(self) -> None:
        """Do nothing: there is nothing to free."""


class Totals(Count):
    """The numbers of lines, words and bytes, as those of ``wc``.

    Lines are newline bytes. Words are those that GNU wc 9.1 counts in the C locale: the longest runs of bytes without
    white space (tab, newline, vertical tab, form feed, carriage return, space) of which at least one is a visible ASCII
    character, from ``!`` to ``~``. A run of only control characters, NUL or bytes from 128 on is no word; GNU wc 9.5
    counts it.

    Parameters
    ----------
    kinds : frozenset of {"lines", "words", "bytes"}
        What to count.
    unicode : bool, default: False
        Count ``str.split()`` of the text decoded as UTF-8 instead: words are separated by the characters for which
        ``str.isspace()`` is true, and everything else is part of a word, also NUL and bytes that are not valid UTF-8.
    """

    keeps_partials = False
    maps_files = True
    kernels = ("lines and words",)

    def __init__(self, kinds: frozenset[Kind], unicode: bool = False) -> None:  # dataclasses take 8 ms to import
        if unknown := kinds - set(get_args(Kind)):
            raise ValueError(f"kinds must be of lines, words and bytes, not {', '.join(sorted(unknown))}")
        self.kinds = kinds
        self.unicode = unicode

    def partial(self, workers: int = 1) -> TotalsPartial:  # noqa: ARG002
        """Return an empty partial."""
        return TotalsPartial("lines" in self.kinds, "words" in self.kinds, self.unicode)

    def from_bytes(self, data: bytes) -> TotalsPartial:
        """Return the partial of which `to_bytes` returned `data`."""
        partial = self.partial()
        partial.add(*STORED.unpack(data))
        return partial

    def find_start(self, source: Source, position: int) -> int:
        """Return the first position from `position` on at which no word is divided; the size of the source if none."""
        return find_behind(source, position, find_space) if "words" in self.kinds else min(position, source.size)

    def cut(self, block: bytes | memoryview) -> int:
        """Return how many bytes of a block end with white space; all if words are not counted."""
        return rfind_space(block) + 1 if "words" in self.kinds else len(block)
