"""The job `unique_counts`: find the distinct keys and count each, where their range is not known beforehand.

Three algorithms (``bench/test_distinct_methods.py``): a direct table if max - min < n; a hash table while it fits in
cache; otherwise partition by range, and sort each range. Ranges need no merge. Only the keys of one range are copied at
a time: to read all keys once for each range takes 0.3 ns a key, to merge as many took ten times that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parcount._native import distinct as native
from parcount.kernels.blocks import BLOCK, blocks, some
from parcount.kernels.job import Kernel, Part, Slices, cuts

ALWAYS_NEAR = 1 << 16
"""A range for which a table is always worth its clearing; all keys of up to 16 bits lie in one."""

CHUNK = 1 << 22
"""Keys sorted at a time, at most: their copy is all that is ever made of the input."""

FILLED = 0.85
"""Of a chunk, the share that a range's keys should fill: a sample tells how many they will be."""

PIECE = 1 << 13
"""Keys in a piece to be sorted: it stays in the second cache."""

MOST_KEYS = native.HASH_TABLE_CAPACITY
"""Different keys that the hash table takes."""

MOST_PIECES = 1 << 10
"""More, and dealing them out takes longer than is gained: every piece is written on a page of its own."""

SAMPLE = 1 << 12
"""Keys looked at to see how they are spread: of a million different ones, about eight of these are there twice."""

TWICE = 8
"""Keys that may be there twice among those, for which a hash table is not even tried."""

Range = tuple[int, int]
"""The least and the greatest key."""

Found = tuple[NDArray[Any], NDArray[np.int64]]
"""Different keys, and how often each was met."""

_LARGE = 1 << 64


class Distinct(Slices):
    """`Slices` of one column of integers, whose parts are `Found`."""

    def merge(self, partials: Sequence[Found]) -> Found:
        """What was found in any."""
        return reduce(merged, partials)


class DistinctByRange(Distinct):
    """The same, of keys most of which are different: every part has them all, to look for those in ranges of its own.

    Its settings are the ranges.
    """

    def split(self, parts: int) -> list[Part]:
        """The ranges, dealt out."""
        (ranges,) = self.settings
        return [Part(None, (*self.arrays, ranges[start:stop])) for start, stop in cuts(len(ranges), parts)]

    def merge(self, partials: Sequence[Found]) -> Found:
        """What was found, one after the other."""
        return joined(partials)


def distinct_job(keys: NDArray[Any], ascending: bool, workers: int) -> tuple[Distinct, Kernel]:
    """The job of finding the different keys in one column, and its kernel: as a glance at some of the keys suggests.

    Parameters
    ----------
    keys : ndarray
        Of any integer dtype, not empty.
    ascending : bool
        Whether they must be.
    workers : int
        How many will share the job.
    """
    if within := _promising(keys, workers):
        return DistinctByRange([keys], (within,)), count_distinct_in_ranges
    return Distinct([keys], (ascending,)), count_distinct


def _promising(keys: NDArray[Any], workers: int) -> list[Range]:
    """The ranges to look for keys in, if most seem to be different; none if each worker is to see what its keys are."""
    if len(keys) <= MOST_KEYS:
        return []
    sample = sample_keys(keys)
    if len(sample) - native.count_runs(sample) > TWICE:
        return []
    if int(sample[-1]) - int(sample[0]) < len(keys):
        if workers == 1:  # it would look at all of them here, and once more in `count_distinct`
            return []
        low, size = key_range(keys)
        if size <= len(keys):
            return ranges(sample, workers, low, low + size - 1)
    return ranges(sample, chunks(len(keys), workers))


def count_distinct(_: None, keys: NDArray[Any], ascending: bool) -> Found:
    """Find the distinct keys, and how often each occurs.

    Parameters
    ----------
    keys : ndarray
        Of any integer dtype.
    ascending : bool
        Whether they must be; they may be all the same.
    """
    dtype = keys.dtype.newbyteorder("=")
    if not len(keys):
        return _nothing(dtype)
    low, size = key_range(keys)
    if size <= max(ALWAYS_NEAR, len(keys)):
        return _in_table((block for (block,) in blocks([keys], [dtype])), low, size, dtype)
    hashed = native.HashTable()
    done = 0
    for (block,) in blocks([keys], [dtype]):
        taken = hashed.add(block)
        done += taken
        if taken < len(block):
            break
    values, counts = hashed.result()
    values = values.astype(dtype)
    if done == len(keys) and not ascending:
        return values, counts
    order = np.argsort(values)
    so_far = values[order], counts[order]
    if done == len(keys):
        return so_far
    rest = keys[done:]
    return merged(so_far, count_distinct_in_ranges(None, rest, ranges(sample_keys(rest), chunks(len(rest)))))


def count_distinct_in_ranges(_: None, keys: NDArray[Any], within: Sequence[Range]) -> Found:
    """Find the distinct keys that lie in some ranges, by sorting, and how often each occurs.

    Parameters
    ----------
    keys : ndarray
        Of any integer dtype.
    within : sequence of Range
        Ascending.
    """
    dtype = keys.dtype.newbyteorder("=")
    chunk, dealt = np.empty((2, min(CHUNK, len(keys))), dtype)
    return joined([_found_between(keys, low, high, chunk, dealt) for low, high in within], dtype)


def _found_between(keys: NDArray[Any], low: int, high: int, chunk: NDArray[Any], dealt: NDArray[Any]) -> Found:
    """The same for one range, whose keys are copied into `chunk`, as many at a time as there is room for."""
    if high - low < max(ALWAYS_NEAR, len(keys)):
        return _in_table(_selected(keys, low, high, chunk), low, high - low + 1, chunk.dtype)
    return reduce(merged, (by_sorting(some_of_them, dealt) for some_of_them in _selected(keys, low, high, chunk)))


def _selected(keys: NDArray[Any], low: int, high: int, chunk: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """The chunk, whenever it is full of keys from `low` to `high`; and what is in it at the end."""
    taken = 0
    for (block,) in blocks([keys], [chunk.dtype]):
        start = 0
        while start < len(block):
            more, start = native.select_range(block, start, low, high, chunk[taken:])
            taken += more
            if taken == len(chunk):
                yield chunk
                taken = 0
    yield chunk[:taken]


def _in_table(pieces: Iterable[NDArray[Any]], low: int, size: int, dtype: Any) -> Found:
    near = native.RangeTable(low, size)
    for piece in pieces:
        near.add(piece)
    values, counts = near.result()
    return values.astype(dtype, copy=False), counts


def sample_keys(keys: NDArray[Any]) -> NDArray[Any]:
    """Some of the keys, ascending."""
    return np.sort(some(keys, SAMPLE).astype(keys.dtype.newbyteorder("=")))


def chunks(size: int, parts: int = 1) -> int:
    """Into how many ranges so many keys are divided to be sorted: a multiple of `parts`.

    Examples
    --------
    >>> chunks(20_000_000, 2)
    6
    """
    return -(-size // int(CHUNK * FILLED * parts)) * parts


def ranges(sample: NDArray[Any], number: int, low: int | None = None, high: int | None = None) -> list[Range]:
    """So many ranges, each with about as many keys; fewer, should one key be much of the sample.

    Parameters
    ----------
    sample : ndarray
        As from `sample_keys`.
    number : int
        How many ranges.
    low, high : int, optional
        Where the first begins and the last ends; all keys of that dtype by default.

    Examples
    --------
    >>> ranges(np.array([10, 20, 30, 40], np.uint8), 2)
    [(0, 29), (30, 255)]
    """
    limits = np.iinfo(sample.dtype)
    low, high = (int(limits.min) if low is None else low), (int(limits.max) if high is None else high)
    starts = {int(sample[len(sample) * part // number]) for part in range(1, number)}
    inside = sorted(start for start in starts if low < start <= high)  # keys may have changed since that was taken
    return [(start, stop - 1) for start, stop in pairwise([low, *inside, high + 1])]


def key_range(keys: NDArray[Any]) -> tuple[int, int]:
    """The least key, and how many keys there could be from it to the largest, if no more than there are in fact.

    Looks no further when there could be more.

    Examples
    --------
    >>> key_range(np.array([5, 3, 4, 3]))
    (3, 3)
    """
    low, high = _LARGE, -_LARGE
    for start in range(0, len(keys), BLOCK // 8):
        block = np.asarray(keys[start : start + BLOCK // 8])
        low = min(low, int(np.minimum.reduce(block)))
        high = max(high, low, int(np.maximum.reduce(block)))  # another thread may have changed them in between
        if high - low >= max(ALWAYS_NEAR, len(keys)):
            break
    return low, high - low + 1


def by_sorting(keys: NDArray[Any], room: NDArray[Any] | None = None) -> Found:
    """Find the different keys by sorting a copy, a piece at a time; the copy is made in `room`, if there is some."""
    dtype = keys.dtype.newbyteorder("=")
    if not len(keys):
        return _nothing(dtype)
    sample = sample_keys(keys)
    tail = len(sample) // 64  # a few that lie far off do not spoil the pieces of the others
    low, high = int(sample[tail]), int(sample[-1 - tail])
    bits = (min(MOST_PIECES, len(keys) // PIECE + 1) - 1).bit_length()
    shift = min(max(0, (high - low).bit_length() - bits), 63)  # all 64 bits may differ, and be one piece
    ends = np.empty(1 << bits, np.int64)
    dealt = np.empty(len(keys), dtype) if room is None else room[: len(keys)]
    native.partition_by_range(np.require(keys, dtype, ["C", "A"]), dealt, ends, dtype.type(low), shift)
    start = 0
    for end in ends.tolist():
        dealt[start:end].sort()
        start = end
    size = native.count_runs(dealt)
    values, counts = np.empty(size, dtype), np.empty(size, np.int64)
    native.run_lengths(dealt, values, counts)
    return values, counts


def joined(those: Sequence[Found], dtype: Any = None) -> Found:
    """One after the other; keys of this dtype, should there be none."""
    if len(those) == 1:
        return those[0]
    values, counts = zip(*(those or [_nothing(dtype)]), strict=True)
    return np.concatenate(values), np.concatenate(counts)


def _nothing(dtype: Any) -> Found:
    return np.empty(0, dtype), np.empty(0, np.int64)


def merged(one: Found, other: Found) -> Found:
    """What is in one or the other, ascending as they are."""
    most = len(one[0]) + len(other[0])
    values, counts = np.empty(most, one[0].dtype), np.empty(most, np.int64)
    size = native.merge_counts(*one, *other, values, counts)
    values.resize(size, refcheck=False)
    counts.resize(size, refcheck=False)
    return values, counts
