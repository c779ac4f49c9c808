"""The kernels that count in one large table which the workers share, so that no tables need to be merged.

Each worker takes in a slice of the keys, then the workers count parts of the table: `parcount.engine.shared_table` runs
them. What keys are taken into is one of the classes of `parcount._native.partition`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parcount._native.partition import CELLS, NarrowCells, Partitions
from parcount.kernels.add_at import check_all_done, from_the_start
from parcount.kernels.blocks import BLOCK, blocks, sample

MIN_BINS = 1 << 18
"""Cells from which several workers share a table of counts (all of these: ``bench/test_large_tables.py``)."""

MIN_BINS_OF_PARTITIONS = 1 << 23
"""Cells from which it pays to partition keys, instead of counting in cells of 8 bits."""

MIN_BINS_OF_SUMS = 1 << 22
"""Cells from which it pays to partition keys with weights, for which there are no narrower cells."""

MAX_BINS_PER_KEY = 16
"""Cells for each key up to which it pays to visit all cells."""

MIN_CHUNK = 1 << 22
"""Keys with weights that are partitioned before they are counted, or twice as many as the table has cells if those are
more; twice that without weights. Each chunk of keys goes through the whole table once more."""

SAMPLE = 256
"""Pairs of neighbouring keys in a sample."""

Take = Callable[..., bool]
"""A kernel ``take(counted, dtype, keys)``, or with weights, to be taken as that dtype, behind the keys.

It returns False if a key lies outside the table.
"""


def class_for(arrays: Sequence[NDArray[Any]], bins: int, workers: int) -> type[Partitions | NarrowCells] | None:
    """What keys, with weights or not, are taken into; None if `workers` had better count in tables of their own.

    Partitions are not for keys most of whose neighbours are in one range, as sorted keys or one frequent key: their
    cells are in the cache.
    """
    keys, weighted = arrays[0], len(arrays) > 1
    if bins < MIN_BINS or bins > MAX_BINS_PER_KEY * len(keys) or keys.dtype.itemsize < 4:
        return None
    if bins >= (MIN_BINS_OF_SUMS if weighted else MIN_BINS_OF_PARTITIONS):
        before, after = sample(keys[:-1], SAMPLE), sample(keys[1:], SAMPLE)
        if 2 * int(np.count_nonzero(before // CELLS == after // CELLS)) < len(before):
            return Partitions
    return None if weighted or workers == 1 else NarrowCells


def chunks(arrays: Sequence[NDArray[Any]], bins: int, kind: type[Partitions | NarrowCells]) -> int:
    """The number of chunks of keys that are taken in and counted one after another."""
    most = max(MIN_CHUNK, 2 * bins) * (1 if len(arrays) > 1 else 2)
    return 1 if kind is NarrowCells else -(-len(arrays[0]) // most)


def take_keys(counted: Partitions | NarrowCells, dtype: np.dtype[Any], *arrays: NDArray[Any]) -> bool:
    """Take in keys, and their weights if there are two arrays."""
    return all(_add(counted, block) == len(block[0]) for block in _blocks(dtype, arrays))


def take_indices(counted: Partitions | NarrowCells, dtype: np.dtype[Any], *arrays: NDArray[Any]) -> bool:
    """The same with indices, of which negative ones are counted from the end.

    Raises
    ------
    IndexError
        If an index lies outside.
    """
    for block in _blocks(dtype, arrays):
        done = _add(counted, block)
        for start in range(done, len(block[0]), BLOCK):
            indices, *addends = (array[start : start + BLOCK] for array in block)
            indices = from_the_start(indices, counted.bins)
            check_all_done(_add(counted, (indices, *addends)), indices, counted.bins)
    return True


def _blocks(dtype: np.dtype[Any], arrays: Sequence[NDArray[Any]]) -> Iterator[tuple[NDArray[Any], ...]]:
    return blocks(arrays, [arrays[0].dtype, dtype][: len(arrays)])


def _add(counted: Any, block: Sequence[NDArray[Any]]) -> int:
    added: int = counted.add(*block) if len(block) == 1 else counted.add_weighted(*block)
    return added


def shares(sizes: NDArray[np.int64], workers: int) -> list[tuple[int, int]]:
    """Ranges of partitions, one for each worker, which take nearly equal times to count.

    Parameters
    ----------
    sizes : ndarray
        The number of keys in each partition.
    workers : int
        The number of workers.

    Examples
    --------
    >>> shares(np.array([900_000, 10_000, 10_000]), 2)
    [(0, 1), (1, 3)]
    """
    costs = sizes + CELLS  # each cell is visited at least when its page is made
    ends = np.cumsum(costs)
    bounds = np.searchsorted(ends - costs / 2, ends[-1] * np.arange(1, workers) / workers)  # by the middle of each
    return list(pairwise([0, *bounds.tolist(), len(sizes)]))
