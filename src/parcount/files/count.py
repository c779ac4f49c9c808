"""The interface between the driver, which reads files, and the kinds of counts."""

from __future__ import annotations

from typing import Protocol, Self


class Source(Protocol):
    """A regular file, of which any part can be read."""

    size: int

    def read(self, position: int, size: int) -> bytes:
        """Return up to `size` bytes from a position on; fewer at the end of the file only."""


class Partial(Protocol):
    """The count of some chunks of a file, made by one worker."""

    def update(self, block: memoryview, *, last: bool) -> int:
        """Count a block, without the GIL; return how many of its bytes are not needed any more.

        The driver gives the other bytes again, in front of those that follow. `last` says that the chunk ends with this
        block: then all bytes are used, and the partial is ready for another chunk.
        """

    def merge(self, other: Self) -> None:
        """Add the count of another partial, which is not used any more."""

    def to_bytes(self) -> bytes:
        """Return the count in a form that another process or a later run can read."""

    def close(self) -> None:
        """Free the memory and the temporary files."""


class Count(Protocol):
    """What is to be counted; an object that can be pickled."""

    keeps_partials: bool
    """Whether a worker counts all its chunks into one partial, because merging is slow; otherwise one for each."""

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
