"""The interface between the driver, which reads files, and the kinds of counts.

Kinds of counts are subclasses of `Count`. The driver calls ``count.opened(head)`` once for each input, and works with
the count that this returns. If a worker raises `WrongStart`, the driver closes the partials of this input and starts it
again with ``count.in_order()``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Protocol, Self

SEARCH_BYTES = 4096
"""Bytes that are read to find the end of a record or word; most are shorter."""

MAX_SEARCH_BYTES = 1 << 20


class WrongStart(Exception):
    """A chunk does not end where the next one begins: `find_start` had to guess where a record begins."""


class RecordError(ValueError):
    """A record cannot be counted.

    Parameters
    ----------
    reason : str
        What is wrong with it.
    offset : int
        Where it begins in the block: the driver adds the name of the file and the place of the block.
    """

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(reason, offset)
        self.reason = reason
        self.offset = offset

    def __str__(self) -> str:
        return self.reason


class Source(Protocol):
    """A regular file, of which any part can be read."""

    size: int

    def read(self, position: int, size: int) -> bytes:
        """Return up to `size` bytes from a position on; fewer at the end of the file only."""


def find_behind(source: Source, position: int, find: Callable[[bytes], int]) -> int:
    """Return the first place from `position` on behind an end; the size of the source if there is none.

    `find` returns where the first end is in a block; a number that is no place in it if there is none.
    """
    if position == 0:
        return 0
    position -= 1
    size = SEARCH_BYTES
    while block := source.read(position, size):
        end = find(block)
        if 0 <= end < len(block):
            return position + end + 1
        position += len(block)
        size = min(2 * size, MAX_SEARCH_BYTES)
    return source.size


class Partial(Protocol):
    """The count of some chunks of a file, made by one worker."""

    def update(self, block: memoryview, *, last: bool) -> int:
        """Count a block, without the GIL; return how many of its bytes are not needed any more.

        The driver gives the other bytes again, in front of those that follow. `last` says that the chunk ends with this
        block: then all bytes are used, and the partial is ready for another chunk.

        Raises
        ------
        WrongStart
            If the chunk ends within a record and `find_start` may have guessed.
        RecordError
            If a record cannot be counted.
        """

    def read(self, source: Source, start: int, stop: int) -> None:  # noqa: ARG002
        """Count a chunk of a file; called instead of `update` if the count `reads_chunks`."""
        raise TypeError(f"{type(self).__name__} counts blocks")

    def merge(self, other: Self) -> None:
        """Add the count of another partial, which is not used any more."""

    def load(self, data: bytes) -> None:  # noqa: ARG002
        """Add what `to_bytes` of another partial returned; called if the count `keeps_partials`."""
        raise TypeError(f"{type(self).__name__} is not kept")

    def to_bytes(self) -> bytes:
        """Return the count in a form that another process or a later run can read."""

    def close(self) -> None:
        """Free the memory and the temporary files."""


class Count(Protocol):
    """What is to be counted; an object that can be pickled."""

    keeps_partials: bool
    """Whether a worker counts all its chunks into one partial, because merging is slow; otherwise one for each."""

    kernels: ClassVar[tuple[str, ...]] = ()
    """Names in `parcount.kernel_info` of the loops."""

    reads_chunks: bool = False
    """Whether the partials read their chunks from the source by themselves, which must then be a regular file."""

    maps_files: bool = False
    """Whether files in the page cache are to be mapped into memory: faster where counting takes less time than copying,
    but the memory counts as that of the process. The partials then get a whole chunk as one block."""

    def opened(self, head: bytes, *, complete: bool, name: str) -> tuple[Count, int] | None:  # noqa: ARG002
        """Return the count for one input, and how many bytes of its beginning are not counted: a header, for example.

        `head` is how the input begins, after decompression, and `complete` says that this is all of it. None if more of
        it is needed. `name` is the name of the file without .gz or .zst, for the format and for messages.
        """
        return self, 0

    def in_order(self) -> Count:
        """Return the same count, of which `find_start` guesses nothing: chunks are made in order."""
        return self

    def explain(self) -> str:
        """Return how this input is read and why, in a sentence; nothing if there is no choice."""
        return ""

    def partial(self, workers: int = 1) -> Partial:
        """Return an empty partial, for one of `workers` workers that share the memory limit."""

    def from_bytes(self, data: bytes) -> Partial:
        """Return the partial of which `to_bytes` returned `data`."""

    def find_start(self, source: Source, position: int) -> int | None:
        """Return where the first record that begins at `position` or later begins; the size of the source if none does.

        None if that cannot be told without reading what is before: then chunks are made in order, by `cut`.
        """

    def cut(self, block: memoryview) -> int:
        """Return how many bytes the complete records in a block take; the block begins with a record."""
