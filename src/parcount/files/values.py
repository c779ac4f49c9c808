"""Counts of the distinct lines of files, exact in bounded memory."""

from __future__ import annotations

import os
from array import array

from parcount._native.value_table import MAX_HEAD, ValueTable
from parcount.files.count import MAX_SEARCH_BYTES, SEARCH_BYTES, Count, Partial, Source, find_behind
from parcount.files.value_counts import ValueCounts, ValuesInMemory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Self

    from parcount.files.spill import Spill

OTHER_BYTES = 100 << 20
"""Memory of the process beside the tables: the interpreter, modules, what is read."""

UNKNOWN_MEMORY = 1 << 30
"""What is assumed to be free where the system does not tell."""

MIN_SHARE = 1 << 20
"""Bytes of a table, at least."""

LARGE_TABLE = 4
"""A table that has at least this fraction of what it is to be merged with is not merged before the result is made."""

ENCODED_BYTES = 1 << 20
"""Of a table, at a time."""


class ValuesPartial(Partial):
    """The count of values that one worker found.

    Beyond its share of the memory, the table is written to a temporary file and emptied.

    Parameters
    ----------
    count : Values
        What is counted.
    share : int
        The memory of the table, in bytes.
    """

    def __init__(self, count: Values, share: int) -> None:
        self.count = count
        self.share = share
        self.table = ValueTable(count.seed, share, hash_bits=count.hash_bits)
        self._tables = [self.table]
        self._spills: list[Spill] = []
        self._spill: Spill | None = None

    def update(self, block: memoryview, *, last: bool) -> int:
        """Count the lines of a block; return how many of its bytes are not needed any more.

        Raises
        ------
        OSError
            If the disk for temporary files is full.
        """
        used = self._scan(block, last=last)
        while self.table.full:
            self.spill()
            used += self._scan(block[used:], last=last)
        return used

    def _scan(self, block: memoryview, *, last: bool) -> int:
        """Add values to the table until it is full; return how many bytes were used."""
        return self.table.add_lines(block, last)

    def spill(self) -> None:
        """Write the table to a temporary file and empty it."""
        if self._spill is None:
            from parcount.files.spill import Spill

            self._spill = Spill(self.count.spill_directory)
            self._spills.append(self._spill)
        self._spill.write(self.table)

    def merge(self, other: Self) -> None:
        """Add the count of another partial.

        Large tables, and files, are taken over: `result` merges them in parallel. O(values of `other`) otherwise.
        """
        self._spills += other._spills
        other._spills, other._spill = [], None
        for table in other._tables:
            size = sum(each.nbytes for each in self._tables)
            if size + table.nbytes <= self.share or table.nbytes * LARGE_TABLE >= size:
                self._tables.append(table)
            else:
                for part in encoded(table):
                    self.load(part)
                table.close()
        other._tables = []

    def result(self, threads: int | None = None) -> ValueCounts:
        """Return the counts, and close this partial.

        Parameters
        ----------
        threads : int, optional
            As many threads merge, count the files and sort.

        Raises
        ------
        OSError
            If the disk for temporary files is full.
        """
        if not self._spills:
            tables, self._tables = self._tables, []
            return ValueCounts(ValuesInMemory(tables, threads))
        from parcount.files.spill import count_partitions

        try:
            memory = self.share * len(self._tables)
            for table in self._tables:
                self._spills[0].write(table)
                table.close()
            count = self.count
            return ValueCounts(
                count_partitions(count.seed, count.hash_bits, count.spill_directory, self._spills, memory, threads)
            )
        finally:
            self.close()

    def to_bytes(self) -> bytes:
        """Return all values with their counts, also those in temporary files."""
        parts = [data for spill in self._spills for data in spill.read()]
        for table in self._tables:
            parts += map(bytes, encoded(table))
        return b"".join(parts)

    def load(self, data: bytes | memoryview) -> None:
        """Add what `to_bytes` returned."""
        used = 0
        while used < len(data):
            step = self.table.load(memoryview(data)[used:])
            used += step
            if self.table.full:
                self.spill()
            elif not step:
                raise ValueError("these are not the bytes of a count of values")

    def close(self) -> None:
        """Free the memory and the temporary files."""
        for table in self._tables:
            table.close()
        for spill in self._spills:
            spill.close()
        self._tables, self._spills, self._spill = [], [], None


def encoded(table: ValueTable) -> Iterator[memoryview]:
    """The values of a table with their counts, in parts, each of which is valid until the next one."""
    buffer = memoryview(bytearray(max(ENCODED_BYTES, table.longest + MAX_HEAD)))
    unused = array("q", [0])
    table.rewind()
    while size := table.encode(buffer, unused, unused):
        yield buffer[:size]


class Values(Count):
    """The distinct lines and how often each occurs.

    A line is what is before a newline, and what is behind the last one if that is not empty.

    Parameters
    ----------
    memory : int, optional
        The memory of the process, in bytes; by default half of what is free. Beyond it, values go to temporary files.
    spill_directory : str, optional
        Where temporary files are; by default the folder of `tempfile`.
    hash_bits : int, optional
        How many bits of the hash are used; fewer, in tests, make different lines collide.

    Attributes
    ----------
    seed : int
        Of the hash. It is random, so that nobody can prepare lines that collide.
    """

    keeps_partials = True

    def __init__(self, memory: int | None = None, spill_directory: str | None = None, *, hash_bits: int = 64) -> None:
        if memory is not None and memory < 1:
            raise ValueError(f"memory must be at least 1 byte, not {memory}")
        self.memory = memory
        self.spill_directory = spill_directory
        self.hash_bits = hash_bits
        self.seed = int.from_bytes(os.urandom(8), "little")

    def __eq__(self, other: object) -> Any:
        return self.__dict__ == other.__dict__ if isinstance(other, Values) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.seed)

    def share(self, workers: int) -> int:
        """The memory of the table of one of `workers` workers."""
        memory = self.memory
        if memory is None:
            from parcount.system.memory import free_memory

            memory = (free_memory(self.spill_directory or ".").memory or UNKNOWN_MEMORY) // 2
        return max(MIN_SHARE, (memory - min(OTHER_BYTES, memory // 4)) // workers)

    def partial(self, workers: int = 1) -> ValuesPartial:
        """Return an empty partial, for one of `workers` workers that share the memory limit."""
        return ValuesPartial(self, self.share(workers))

    def from_bytes(self, data: bytes) -> ValuesPartial:
        """Return the partial of which `to_bytes` returned `data`."""
        partial = self.partial()
        partial.load(data)
        return partial

    def find_start(self, source: Source, position: int) -> int:
        """Return where the first line from `position` on begins; the size of the source if none does."""
        return find_behind(source, position, lambda block: block.find(b"\n"))

    def cut(self, block: memoryview) -> int:
        """Return how many bytes the complete lines in a block take."""
        stop, size = len(block), SEARCH_BYTES
        while stop:
            start = max(0, stop - size)
            newline = bytes(block[start:stop]).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            stop, size = start, min(2 * size, MAX_SEARCH_BYTES)
        return 0
