"""Which keys occur and how often each, of keys of which nobody knows how far apart they lie.

Three roads, by what the keys turn out to be (``bench/test_distinct_roads.py``): in a table over their range if that is
no longer than they are many; else in a hash table, as long as that stays in cache; and the keys that find no room in it
are dealt out by size into pieces, each of which is sorted in cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parcount._native import distinct as native
from parcount.kernels.blocks import BLOCK, blocks
from parcount.kernels.slices import Slices
from parcount.kernels.workload import Kernel

ALWAYS_NEAR = 1 << 16
"""A range for which a table is always worth its clearing; all keys of up to 16 bits lie in one."""

CHUNK = 1 << 22
"""Keys sorted at a time, at least: their copy is all that is ever made of the input."""

PIECE = 1 << 13
"""Keys in a piece to be sorted: it stays in the second cache."""

MOST_PIECES = 1 << 10
"""More, and dealing them out takes longer than is gained: every piece is written on a page of its own."""

GLANCE = 1 << 10
"""Keys looked at to see how they are spread."""

Found = tuple[NDArray[Any], NDArray[np.int64]]
"""Different keys, and how often each was met."""

_LARGE = 1 << 64

KERNEL = Kernel("parcount.kernels.distinct:found")


class Distinct(Slices):
    """`Slices` of one column of integers, whose parts are `Found`."""

    def merge(self, partials: Sequence[Found]) -> Found:  # type: ignore[override]
        """What was found in any."""
        return reduce(merged, partials)


def found(columns: Sequence[NDArray[Any]], _: None, ascending: bool) -> Found:
    """Find the different keys in the one column, and how often each is there.

    Parameters
    ----------
    columns : sequence of ndarray
        As in `Slices`; keys of any integer dtype. They have no weights.
    ascending : bool
        Whether they must be; they may be all the same.
    """
    (keys,) = columns
    dtype = keys.dtype.newbyteorder("=")
    if not len(keys):
        return np.empty(0, dtype), np.empty(0, np.int64)
    low, size = extent(keys)
    if size <= max(ALWAYS_NEAR, len(keys)):
        near = native.Near(low, size)
        for (block,) in blocks([keys], [dtype]):
            near.add(block)
        values, counts = near.found()
        return values.astype(dtype, copy=False), counts
    hashed = native.Hashed()
    done = 0
    for (block,) in blocks([keys], [dtype]):
        taken = hashed.add(block)
        done += taken
        if taken < len(block):
            break
    values, counts = hashed.found()
    values = values.astype(dtype)
    if done == len(keys) and not ascending:
        return values, counts
    order = np.argsort(values)
    so_far = values[order], counts[order]
    while done < len(keys):
        chunk = np.asarray(keys[done : done + max(CHUNK, 2 * len(so_far[0]))])
        so_far = merged(so_far, by_sorting(chunk))
        done += len(chunk)
    return so_far


def extent(keys: NDArray[Any]) -> tuple[int, int]:
    """The least key, and how many keys there could be from it to the largest, if no more than there are in fact.

    Looks no further when there could be more.

    Examples
    --------
    >>> extent(np.array([5, 3, 4, 3]))
    (3, 3)
    """
    low, high = _LARGE, -_LARGE
    for start in range(0, len(keys), BLOCK // 8):
        block = np.asarray(keys[start : start + BLOCK // 8])
        low, high = min(low, int(block.min())), max(high, int(block.max()))
        if high - low >= max(ALWAYS_NEAR, len(keys)):
            break
    return low, high - low + 1


def by_sorting(keys: NDArray[Any]) -> Found:
    """Find the different keys by sorting a copy, a piece at a time."""
    dtype = keys.dtype.newbyteorder("=")
    sample = np.sort(keys[:: max(1, len(keys) // GLANCE)].astype(dtype))
    tail = len(sample) // 64  # a few that lie far off do not spoil the pieces of the others
    low, high = int(sample[tail]), int(sample[-1 - tail])
    bits = (min(MOST_PIECES, len(keys) // PIECE + 1) - 1).bit_length()
    shift = min(max(0, (high - low).bit_length() - bits), 63)  # all 64 bits may differ, and be one piece
    ends = np.empty(1 << bits, np.int64)
    dealt = np.empty(len(keys), dtype)
    native.deal(np.require(keys, dtype, ["C", "A"]), dealt, ends, dtype.type(low), shift)
    start = 0
    for end in ends.tolist():
        dealt[start:end].sort()
        start = end
    size = native.count_of_runs(dealt)
    values, counts = np.empty(size, dtype), np.empty(size, np.int64)
    native.runs(dealt, values, counts)
    return values, counts


def merged(one: Found, other: Found) -> Found:
    """What is in one or the other, ascending as they are."""
    most = len(one[0]) + len(other[0])
    values, counts = np.empty(most, one[0].dtype), np.empty(most, np.int64)
    size = native.merge(*one, *other, values, counts)
    values.resize(size, refcheck=False)
    counts.resize(size, refcheck=False)
    return values, counts
