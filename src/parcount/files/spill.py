"""Counts of values on disk: what full tables are written to, and how that is counted and sorted in bounded memory.

A table is written in the order of the hashes, with an index of where each bucket, a range of hashes, begins. So the
values of a partition, one or several neighbouring buckets, are in one place of each pass. Partitions are counted one by
one; one that is still too large is written again, by further bits of the hash. The values of a counted partition are
appended to another file, divided into ranges of the final order. The ranges, which each fit into memory, are sorted one
after the other: their bounds are quantiles of the first partition, which is a random sample because hashes are.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from parcount._native.value_table import ENTRY_BYTES, MAX_HEAD, ValueList, ValueTable
from parcount.engine.num_threads import get_num_threads, usable_threads
from parcount.execution.pinned_threads import pinned_threads

if TYPE_CHECKING:
    from numpy.typing import NDArray

BUCKET_BITS = 12

READ_BYTES = 1 << 20

MAX_SKIPPED_BITS = 40
"""Of a hash that has 64: if so many bits are equal in too many values for the memory, more memory is taken."""

MAX_RANGES = 1 << 12


class TemporaryFile:
    """A file without a name, of which several threads write and read parts. It ends with the process.

    Parameters
    ----------
    directory : str or None
        Where; None for the system's folder of temporary files.
    """

    def __init__(self, directory: str | None) -> None:
        self.directory = tempfile.gettempdir() if directory is None else directory
        self._file = tempfile.TemporaryFile(buffering=0, dir=directory)  # noqa: SIM115
        self._lock = Lock()
        self.size = 0

    def __del__(self) -> None:
        with suppress(AttributeError):  # it could not be made
            self._file.close()

    def append(self, data: memoryview) -> int:
        """Write data behind everything else; return where."""
        with self._lock:
            position = self.size
            self._file.seek(position)
            try:
                while len(data):
                    data = data[self._file.write(data) :]
            except OSError as error:
                raise OSError(error.errno, f"cannot write a temporary file: {error.strerror}", self.directory) from None
            self.size = self._file.tell()
        return position

    def read_into(self, buffer: memoryview, position: int) -> None:
        """Fill a buffer."""
        while len(buffer):
            if hasattr(os, "preadv"):
                size = os.preadv(self._file.fileno(), [buffer], position)
            else:
                with self._lock:
                    self._file.seek(position)
                    size = self._file.readinto(buffer)
            if not size:
                raise OSError(f"a temporary file in {self.directory} has been truncated")
            buffer, position = buffer[size:], position + size

    def close(self) -> None:
        """Remove the file."""
        self._file.close()


class Spill:
    """Tables of values on disk, ordered by hash.

    Parameters
    ----------
    directory : str or None
        Where the file is.
    skip : int, optional
        The first bits of the hashes that all values have in common.
    """

    def __init__(self, directory: str | None, skip: int = 0) -> None:
        self.skip = skip
        self.file = TemporaryFile(directory)
        self.entries = np.zeros(1 << BUCKET_BITS, np.int64)
        self._passes: list[NDArray[np.int64]] = []
        self._buffer = bytearray()

    def write(self, table: ValueTable) -> None:
        """Write a table and empty it."""
        sizes = np.zeros_like(self.entries)
        bounds = np.zeros(len(sizes) + 1, np.int64)
        if len(self._buffer) < table.longest + MAX_HEAD:
            self._buffer = bytearray(max(READ_BYTES, table.longest + MAX_HEAD))
        bounds[0] = self.file.size
        table.rewind()
        while size := table.encode(self._buffer, sizes, self.entries):
            self.file.append(memoryview(self._buffer)[:size])
        bounds[1:] = bounds[0] + np.cumsum(sizes)
        self._passes.append(bounds)
        table.clear()

    def sizes(self) -> NDArray[np.int64]:
        """The bytes of each bucket."""
        return sum((np.diff(bounds) for bounds in self._passes), np.zeros_like(self.entries))

    def parts(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Where the values of buckets `first` to `last` - 1 are."""
        for bounds in self._passes:
            if bounds[first] < bounds[last]:
                yield int(bounds[first]), int(bounds[last])

    def read(self) -> Iterator[bytes]:
        """The whole file, in parts."""
        for start in range(0, self.file.size, READ_BYTES):
            part = bytearray(min(READ_BYTES, self.file.size - start))
            self.file.read_into(memoryview(part), start)
            yield bytes(part)

    def close(self) -> None:
        """Remove the file."""
        self.file.close()


def read_entries(file: TemporaryFile, start: int, stop: int, use: Callable[[memoryview], int]) -> None:
    """Read a part of a file.

    `use` is called with blocks of it, and returns how many bytes the complete entries in it take. The other bytes come
    again, in front of those that follow.
    """
    buffer = bytearray(min(READ_BYTES, stop - start))
    kept = 0
    while start < stop:
        if kept == len(buffer):  # an entry is longer
            buffer = buffer + bytes(len(buffer))
        size = min(len(buffer) - kept, stop - start)
        view = memoryview(buffer)
        file.read_into(view[kept : kept + size], start)
        start += size
        used = use(view[: kept + size])
        kept += size - used
        view[:kept] = bytes(view[used : used + kept])
    if kept:
        raise OSError(f"a temporary file in {file.directory} is damaged")


class SpilledCounts:
    """Counted values on disk, divided into ranges of the final order.

    Parameters
    ----------
    directory : str or None
        Where the file is.
    ranges : int
        How many.
    """

    def __init__(self, directory: str | None, ranges: int, threads: int) -> None:
        self.file = TemporaryFile(directory)
        self.threads = threads
        self.total = 0
        self.distinct = 0
        self._ranges = min(ranges, MAX_RANGES)
        self._lock = Lock()
        self._bounds: ValueList | None = None
        self._pieces: list[tuple[int, NDArray[np.int64]]] = []  # where it begins, and the sizes of its parts
        self._entries = np.zeros(self._ranges, np.int64)

    def append(self, table: ValueTable, buffer: bytearray) -> None:
        """Add a counted table."""
        if not table.distinct:
            return
        values = ValueList([table])
        with self._lock:
            if self._bounds is None:
                self._bounds = values.quantiles(self._ranges - 1)
            self.total += table.total
            self.distinct += table.distinct
        if len(buffer) < table.longest + MAX_HEAD:
            buffer += bytes(table.longest + MAX_HEAD - len(buffer))
        position = 0
        while position < len(values):
            sizes, entries = np.zeros_like(self._entries), np.zeros_like(self._entries)
            used, position = values.distribute(self._bounds, buffer, position, sizes, entries)
            start = self.file.append(memoryview(buffer)[:used])
            with self._lock:
                self._pieces.append((start, sizes))
                self._entries += entries

    def _load(self, number: int) -> ValueList:
        """Return one range, sorted."""
        parts = []
        for start, sizes in self._pieces:
            before = start + int(sizes[:number].sum())
            parts.append((before, before + int(sizes[number])))
        table = ValueTable(
            0, sum(stop - start for start, stop in parts) + (int(self._entries[number]) + 1) * ENTRY_BYTES
        )
        for start, stop in parts:
            read_entries(self.file, start, stop, table.append)
        values = ValueList([table])
        values.sort()
        return values

    def __iter__(self) -> Iterator[ValueList]:
        """The values in order, in lists that together are not in memory."""
        with pinned_threads(self.threads) as threads:
            yield from threads.imap(self._load, (number for number in range(self._ranges) if self._entries[number]))

    def close(self) -> None:
        """Remove the file."""
        self.file.close()


def needed(spills: list[Spill], bits: int) -> NDArray[np.int64]:
    """The memory that tables of 2**bits partitions need at most."""
    sizes = np.zeros(1 << bits, np.int64)
    for spill in spills:
        sizes += (spill.sizes() + spill.entries * ENTRY_BYTES).reshape(1 << bits, -1).sum(axis=1)
    return sizes + ENTRY_BYTES


@dataclass
class _PartitionCounter:
    """Counts partitions."""

    seed: int
    hash_bits: int
    directory: str | None
    share: int
    """The memory of a table."""

    counts: SpilledCounts

    def bits(self, spills: list[Spill]) -> int:
        """The number of partitions, as a power of two: each fits into a table."""
        bits = 0
        while bits < BUCKET_BITS and needed(spills, bits).max() > self.share:
            bits += 1
        return bits

    def count(self, spills: list[Spill], number: int, bits: int) -> None:
        """Count one of 2**bits partitions."""
        width = 1 << (BUCKET_BITS - bits)
        parts = [(spill.file, *part) for spill in spills for part in spill.parts(number * width, (number + 1) * width)]
        if not parts:
            return
        skip = spills[0].skip + bits
        limit = self.share if skip < MAX_SKIPPED_BITS else READ_BYTES + 4 * int(needed(spills, bits)[number])
        table = ValueTable(self.seed, limit, hash_bits=self.hash_bits, skip=skip)
        again: Spill | None = None

        def load(block: memoryview) -> int:
            nonlocal again
            used = table.load(block)
            while table.full:
                again = again or Spill(self.directory, skip)
                again.write(table)
                used += table.load(block[used:])
            return used

        try:
            for file, start, stop in parts:
                read_entries(file, start, stop, load)
            if again is None:
                self.counts.append(table, bytearray(min(max(self.share // 8, READ_BYTES), 16 * READ_BYTES)))
                return
            again.write(table)
            table.close()
            self.count_all([again])
        finally:
            table.close()
            if again is not None:
                again.close()

    def count_all(self, spills: list[Spill]) -> None:
        """Count all partitions of what did not fit into a table, one after the other."""
        bits = max(1, self.bits(spills))
        for number in range(1 << bits):
            self.count(spills, number, bits)


def count_partitions(
    seed: int, hash_bits: int, directory: str | None, spills: list[Spill], memory: int, threads: int | None
) -> SpilledCounts:
    """Count what tables have been written to disk, and sort it.

    Parameters
    ----------
    seed, hash_bits : int
        Of the hash of the tables.
    directory : str or None
        Where the result is.
    spills : list of Spill
        What is to be counted.
    memory : int
        Bytes for the tables.
    threads : int or None
        As many partitions are counted at the same time.
    """
    threads = usable_threads(get_num_threads() if threads is None else threads)
    ranges = 1 + int(needed(spills, 0)[0]) * (2 * threads + 2) // memory
    counts = SpilledCounts(directory, ranges, threads)
    counter = _PartitionCounter(seed, hash_bits, directory, memory // threads, counts)
    bits = counter.bits(spills)
    try:
        with pinned_threads(threads) as execution:
            execution.map(lambda number: counter.count(spills, number, bits), range(1 << bits))
    except BaseException:
        counts.close()
        raise
    return counts
