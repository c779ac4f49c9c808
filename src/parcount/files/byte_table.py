"""The table of bytes: how often each of the 256 values occurs."""

from __future__ import annotations

from array import array
from typing import Self

from parcount._native.bincount import fill
from parcount.files.count import Count, Partial, Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from parcount.files.value_counts import ValueCounts

BYTES = 256


class ByteTablePartial(Partial):
    """The table of some chunks, in `counts`."""

    def __init__(self, counts: array[int] | None = None) -> None:
        self.counts = array("q", bytes(8 * BYTES)) if counts is None else counts

    def update(self, block: memoryview, *, last: bool) -> int:  # noqa: ARG002
        """Count a block."""
        fill(self.counts, block)  # type: ignore[arg-type]
        return len(block)

    def merge(self, other: Self) -> None:
        """Add another table."""
        self.counts = array("q", map(int.__add__, self.counts, other.counts))

    def result(self, threads: int | None = None) -> ValueCounts:
        """Return the bytes that occur, as strings of one byte."""
        from parcount._native.value_table import ValueTable
        from parcount.files.value_counts import ValueCounts, ValuesInMemory

        table = ValueTable(0, 1 << 20)
        for byte, count in enumerate(self.counts):
            if count:
                table.add(bytes([byte]), count)
        return ValueCounts(ValuesInMemory([table], threads))

    def to_bytes(self) -> bytes:
        """Return the table as bytes."""
        return self.counts.tobytes()

    def close(self) -> None:
        """Do nothing: there is nothing to free."""


class ByteTable(Count):
    """How often each byte occurs."""

    keeps_partials = False
    kernels = ("bincount of 8-bit keys",)

    def partial(self, workers: int = 1) -> ByteTablePartial:  # noqa: ARG002
        """Return an empty table."""
        return ByteTablePartial()

    def from_bytes(self, data: bytes) -> ByteTablePartial:
        """Return the table of which `to_bytes` returned `data`."""
        return ByteTablePartial(array("q", data))

    def find_start(self, source: Source, position: int) -> int:
        """Return the position: a byte begins everywhere."""
        return min(position, source.size)

    def cut(self, block: memoryview) -> int:
        """Return the size of the block."""
        return len(block)
