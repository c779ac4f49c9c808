"""The loops of the accumulators: a chunk is counted into tables that stay from one chunk to the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parcount._native import bincount as native
from parcount._native.histogram import BinSearch
from parcount.kernels.blocks import blocks, floating
from parcount.kernels.growth import grown_size
from parcount.kernels.job import Slices, table


class Table:
    """The counts of one thread.

    Attributes
    ----------
    cells : ndarray
        The counts; another, longer array when keys need it.
    used : int
        One more than the largest key to which a weight has been added.
    """

    __slots__ = ("cells", "used")

    def __init__(self, cells: NDArray[Any], used: int = 0) -> None:
        self.cells, self.used = cells, used

    def extend(self, size: int) -> None:
        """Make the table at least `size` cells long, and at least twice as long as it was: few copies in all."""
        if size > len(self.cells):
            longer = table(max(size, 2 * len(self.cells)), self.cells.dtype)
            longer[: len(self.cells)] = self.cells
            self.cells = longer

    def extend_for(self, keys: NDArray[Any], grow: bool) -> None:
        """Make the table long enough for keys, one of which lies outside.

        Raises
        ------
        ValueError
            If a key is negative, or the table must not grow.
        MemoryError
            If there is not enough memory.
        """
        self.extend(grown_size(len(self.cells), np.minimum.reduce(keys), np.maximum.reduce(keys), grow))


class Tables:
    """The tables of an accumulator, whose sum is the counts. Each is lent to one thread at a time.

    Appending to a list and popping from it are atomic, so no lock is held while a thread counts.

    Parameters
    ----------
    first : Table
        The first table.
    """

    def __init__(self, first: Table) -> None:
        self._all, self._free = [first], [first]

    @contextmanager
    def lend(self) -> Iterator[Table]:
        """A table that no other thread has until the end of the ``with`` statement."""
        try:
            mine = self._free.pop()
        except IndexError:
            first = self._all[0].cells
            self._all.append(mine := Table(table(len(first), first.dtype)))
        try:
            yield mine
        finally:
            self._free.append(mine)

    def add(self, counts: NDArray[Any], used: int = 0) -> None:
        """Add counts, which may be longer than the tables."""
        with self.lend() as mine:
            mine.extend(len(counts))
            mine.cells[: len(counts)] += counts
            mine.used = max(mine.used, used)

    def total(self) -> Table:
        """The sum of all tables, as a copy."""
        tables = [(each.cells, each.used) for each in list(self._all)]
        sums = np.zeros(max(len(cells) for cells, _ in tables), tables[0][0].dtype)
        for cells, _ in tables:
            sums[: len(cells)] += cells
        return Table(sums, max(used for _, used in tables))


class Chunk(Slices):
    """The job of adding a chunk to `Tables`."""

    def merge(self, partials: Sequence[Any]) -> list[Any]:
        """What the kernel has returned for each part."""
        return list(partials)


def add_keys(_: None, keys: NDArray[Any], tables: Tables, grow: bool) -> tuple[int, ValueError | MemoryError | None]:
    """Count keys up to the first that a table cannot hold; return their number, and the error that the key is.

    Parameters
    ----------
    keys : ndarray
        Of any integer dtype.
    tables : Tables
        Those of the accumulator.
    grow : bool
        Whether a table is made longer for a key that needs it.
    """
    done = 0
    with tables.lend() as mine:
        for (block,) in blocks([keys], [keys.dtype]):
            first = done
            while True:
                done += native.fill(mine.cells, block[done - first :])
                if done == first + len(block):
                    break
                try:
                    mine.extend_for(block[done - first :], grow)
                except (ValueError, MemoryError) as error:
                    return done, error
    return done, None


def add_weights(_: None, keys: NDArray[Any], weights: NDArray[Any], tables: Tables) -> None:
    """Add each key's weight to its cell.

    Raises
    ------
    ValueError
        If a key lies outside the tables.
    """
    with tables.lend() as mine:
        for key_block, weight_block in blocks([keys, weights], [keys.dtype, np.dtype(np.float64)]):
            if native.fill_weighted(mine.cells, key_block, weight_block)[0] < len(key_block):
                raise ValueError(f"a key lies outside 0 … {len(mine.cells) - 1}")


def add_values(_: None, values: NDArray[Any], tables: Tables, search: BinSearch) -> None:
    """Count values in their bins."""
    with tables.lend() as mine:
        for (block,) in blocks([values], [floating(values)]):
            search.count(mine.cells, block)


def weigh_values(_: None, values: NDArray[Any], weights: NDArray[Any], tables: Tables, search: BinSearch) -> None:
    """Add each value's weight to its bin."""
    with tables.lend() as mine:
        for block, addends in blocks([values, weights], [floating(values), np.dtype(np.float64)]):
            search.weigh(mine.cells, block, addends)
