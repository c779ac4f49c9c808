"""Integer keys of which nobody has said how large they are: the table grows with what is met.

To look for the largest key first, as NumPy does, is to read all keys twice, and takes longer than to count them. So a
glance at some of them sizes the table, and only if a key lies outside are those that follow searched.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parcount._native import bincount as native
from parcount.kernels.blocks import blocks
from parcount.kernels.job import Counts, Kernel, table

GLANCE = 256
"""Keys looked at to size a table: few enough to cost nothing beside a million, of which they miss one in 256."""

MANY = 1 << 20
"""Bins from which a table twice as long as need be is too much to guess."""

Table = NDArray[Any]
"""Counts as int64, or sums of weights as float64."""


KERNEL = Kernel("parcount.kernels.keys:counted")


def glance(keys: NDArray[Any]) -> int:
    """A guess how many bins the keys need: some more than the largest of some of them.

    Examples
    --------
    >>> glance(np.array([3, 1000, 5])), glance(np.array([64_000_000]))
    (1024, 65000001)
    """
    if not len(keys):
        return 0
    if keys.dtype.itemsize == 1:
        return int(np.iinfo(keys.dtype).max) + 1
    largest = max(0, int(keys[:: max(1, len(keys) // GLANCE)].max()))
    return 1 << largest.bit_length() if largest < MANY else largest + largest // 64 + 1


def counted(columns: Sequence[NDArray[Any]], weights: NDArray[Any] | None, least: int, most: int | None) -> Table:
    """Count the keys in the one column into a table of its own.

    Parameters
    ----------
    columns, weights
        As in `Slices`; the keys of any integer dtype.
    least : int
        How long the table is at least.
    most : int or None
        How long it is to be: a larger key is refused. Any length if None.

    Returns
    -------
    ndarray of int64, or of float64 with weights
        As long as the largest key needs, but at least `least`; with `most`, that long.

    Raises
    ------
    ValueError
        If a key is negative or, where there is `most`, not less than it.
    MemoryError
        If there is no memory for a table that long.
    """
    (keys,) = columns
    dtype: Any = np.int64 if weights is None else np.float64
    bins = max(least, glance(keys) if most is None else most)
    sums: Table = table(bins, dtype)
    used = 0
    pieces = (
        blocks([keys], [keys.dtype]) if weights is None else blocks([keys, weights], [keys.dtype, np.dtype(np.float64)])
    )
    for block in pieces:
        while True:
            if weights is None:
                done = native.fill(sums, block[0])
            else:
                done, needed = native.fill_weighted(sums, *block)
                used = max(used, needed)
            if done == len(block[0]):
                break
            block = tuple(array[done:] for array in block)
            needed = _needed(block[0])
            if most is not None:
                raise ValueError(f"a key lies outside 0 … {most - 1}")
            longer: Table = table(max(needed, len(sums)), dtype)  # no shorter, if another thread changed the keys
            longer[: len(sums)] = sums
            sums = longer
    if most is not None:
        return sums
    return _trimmed(sums, least) if weights is None else sums[: max(used, least)]


def _needed(keys: NDArray[Any]) -> int:
    """How long a table all the keys need."""
    if keys.min() < 0:
        raise ValueError("'list' argument must have no negative elements")
    return int(keys.max()) + 1


def _trimmed(counts: Counts, least: int) -> Counts:
    """The counts up to the last that is not zero, but at least so many."""
    stop = len(counts)
    while stop > least:
        start = max(least, stop - GLANCE)
        met = counts[start:stop].nonzero()[0]
        if len(met):
            return counts[: start + int(met[-1]) + 1]
        stop = start
    return counts[:least]
