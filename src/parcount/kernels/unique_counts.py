"""The job `unique_counts`: the distinct keys and the count of each, when the range of the keys is not known.

There are three algorithms (``bench/test_distinct_methods.py``): a table of all keys from the least to the greatest, if
max - min < n; a hash table, if it stays in cache; otherwise ranges of keys are sorted, one after another.
The counts of ranges need no merge. The keys of one range are copied at a time: reading all keys for each range takes
0.3 ns a key, and merging as many took ten times that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parcount._native import distinct as native
from parcount.kernels.blocks import BLOCK, blocks, sample
from parcount.kernels.job import Kernel, Part, Slices, cuts

MIN_TABLE_RANGE = 1 << 16
"""A range up to which a table is used for any number of keys; all keys of up to 16 bits are in one."""

CHUNK = 1 << 22
"""Maximum keys that are sorted at a time. No more of the input is copied."""

CHUNK_FILL = 0.85
"""The share of a chunk that the keys of a range should fill: their number is estimated."""

PIECE = 1 << 13
"""Keys that are sorted together after partitioning; they stay in the L2 cache."""

MAX_PIECES = 1 << 10
"""Partitioning into more takes longer than it saves: each piece is written to a page of its own."""

SAMPLE = 1 << 12
"""Keys in a sample. Of a million distinct keys, about eight are in it twice."""

MAX_SAMPLE_DUPLICATES = 8
"""Duplicates in a sample up to which most keys are taken to be distinct, and no hash table is tried."""

Range = tuple[int, int]
"""The least and the greatest key."""

KeyCounts = tuple[NDArray[Any], NDArray[np.int64]]
"""Distinct keys and the count of each."""

_LARGE = 1 << 64


class Distinct(Slices):
    """`Slices` of one column of integers, whose partial counts are `KeyCounts`."""

    def merge(self, partials: Sequence[KeyCounts]) -> KeyCounts:
        """The sums of the counts, with ascending keys."""
        return reduce(merge_counts, partials)


class DistinctByRange(Distinct):
    """The job for mostly distinct keys: each part has all keys, and counts those in its share of the ranges."""

    def split(self, parts: int) -> list[Part]:
        """Shares of the ranges."""
        (ranges,) = self.settings
        return [Part(None, (*self.arrays, ranges[start:stop])) for start, stop in cuts(len(ranges), parts)]

    def merge(self, partials: Sequence[KeyCounts]) -> KeyCounts:
        """The counts of all ranges."""
        return _concatenate(partials)


def distinct_job(keys: NDArray[Any], ascending: bool, workers: int) -> tuple[Distinct, Kernel]:
    """The job and the kernel for one column of keys, chosen by a sample of them.

    Parameters
    ----------
    keys : ndarray
        Of any integer dtype, not empty.
    ascending : bool
        Whether the resulting keys must be ascending.
    workers : int
        The number of workers.
    """
    if ranges := _ranges_for(keys, workers):
        return DistinctByRange([keys], (ranges,)), count_distinct_in_ranges
    return Distinct([keys], (ascending,)), count_distinct


def _ranges_for(keys: NDArray[Any], workers: int) -> list[Range]:
    """The ranges to divide among workers, if most keys seem to be distinct; otherwise none."""
    if len(keys) <= native.HASH_TABLE_CAPACITY:
        return []
    sampled = sorted_sample(keys)
    if len(sampled) - native.count_runs(sampled) > MAX_SAMPLE_DUPLICATES:
        return []
    if int(sampled[-1]) - int(sampled[0]) < len(keys):
        if workers == 1:  # `count_distinct` would compute the range of the keys again
            return []
        low, size = key_range(keys)
        if size <= len(keys):
            return split_range(sampled, workers, low, low + size - 1)
    return split_range(sampled, chunk_count(len(keys), workers))


def count_distinct(_: None, keys: NDArray[Any], ascending: bool) -> KeyCounts:
    """Find the distinct keys and the count of each.

    Parameters
    ----------
    keys : ndarray
        Of any integer dtype.
    ascending : bool
        Whether the resulting keys must be ascending.
    """
    dtype = keys.dtype.newbyteorder("=")
    if not len(keys):
        return _empty(dtype)
    low, size = key_range(keys)
    if size <= max(MIN_TABLE_RANGE, len(keys)):
        return _count_in_table((block for (block,) in blocks([keys], [dtype])), low, size, dtype)
    table = native.HashTable()
    done = 0
    for (block,) in blocks([keys], [dtype]):
        added = table.add(block)
        done += added
        if added < len(block):  # the table is full
            break
    values, counts = table.result()
    values = values.astype(dtype)
    if done == len(keys) and not ascending:
        return values, counts
    order = np.argsort(values)
    values, counts = values[order], counts[order]
    if done == len(keys):
        return values, counts
    rest = keys[done:]
    ranges = split_range(sorted_sample(rest), chunk_count(len(rest)))
    return merge_counts((values, counts), count_distinct_in_ranges(None, rest, ranges))


def count_distinct_in_ranges(_: None, keys: NDArray[Any], ranges: Sequence[Range]) -> KeyCounts:
    """Find the distinct keys in ascending ranges and the count of each, by sorting."""
    dtype = keys.dtype.newbyteorder("=")
    chunk, scratch = np.empty((2, min(CHUNK, len(keys))), dtype)
    return _concatenate([_count_range(keys, low, high, chunk, scratch) for low, high in ranges], dtype)


def _count_range(keys: NDArray[Any], low: int, high: int, chunk: NDArray[Any], scratch: NDArray[Any]) -> KeyCounts:
    """Count the keys from `low` to `high`, which are copied into `chunk`."""
    chunks = _chunks_of_range(keys, low, high, chunk)
    if high - low < max(MIN_TABLE_RANGE, len(keys)):
        return _count_in_table(chunks, low, high - low + 1, chunk.dtype)
    return reduce(merge_counts, (count_by_sorting(part, scratch) for part in chunks))


def _chunks_of_range(keys: NDArray[Any], low: int, high: int, chunk: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield `chunk` each time it is full of keys from `low` to `high`, and its used part at the end."""
    used = 0
    for (block,) in blocks([keys], [chunk.dtype]):
        start = 0
        while start < len(block):
            selected, start = native.select_range(block, start, low, high, chunk[used:])
            used += selected
            if used == len(chunk):
                yield chunk
                used = 0
    yield chunk[:used]


def _count_in_table(chunks: Iterable[NDArray[Any]], low: int, size: int, dtype: Any) -> KeyCounts:
    table = native.RangeTable(low, size)
    for chunk in chunks:
        table.add(chunk)
    values, counts = table.result()
    return values.astype(dtype, copy=False), counts


def sorted_sample(keys: NDArray[Any]) -> NDArray[Any]:
    """A sample of the keys, ascending."""
    return np.sort(sample(keys, SAMPLE).astype(keys.dtype.newbyteorder("=")))


def chunk_count(size: int, parts: int = 1) -> int:
    """The number of ranges into which `size` keys are divided to be sorted: a multiple of `parts`.

    Examples
    --------
    >>> chunk_count(20_000_000, 2)
    6
    """
    return -(-size // int(CHUNK * CHUNK_FILL * parts)) * parts


def split_range(sampled: NDArray[Any], number: int, low: int | None = None, high: int | None = None) -> list[Range]:
    """Split a range into ranges with about equally many keys.

    Parameters
    ----------
    sampled : ndarray
        Keys as from `sorted_sample`.
    number : int
        The number of ranges. There are fewer if one key is a large share of the sample.
    low, high : int, optional
        The range; by default that of the dtype.

    Examples
    --------
    >>> split_range(np.array([10, 20, 30, 40], np.uint8), 2)
    [(0, 29), (30, 255)]
    """
    limits = np.iinfo(sampled.dtype)
    low, high = (int(limits.min) if low is None else low), (int(limits.max) if high is None else high)
    starts = {int(sampled[len(sampled) * part // number]) for part in range(1, number)}
    inside = sorted(start for start in starts if low < start <= high)  # another thread may have changed the keys
    return [(start, stop - 1) for start, stop in pairwise([low, *inside, high + 1])]


def key_range(keys: NDArray[Any]) -> tuple[int, int]:
    """The least key, and the length of the range of keys; not to its end if that is too long for a table.

    Examples
    --------
    >>> key_range(np.array([5, 3, 4, 3]))
    (3, 3)
    """
    low, high = _LARGE, -_LARGE
    for start in range(0, len(keys), BLOCK // 8):
        block = np.asarray(keys[start : start + BLOCK // 8])
        low = min(low, int(np.minimum.reduce(block)))
        high = max(high, low, int(np.maximum.reduce(block)))  # another thread may have changed the keys in between
        if high - low >= max(MIN_TABLE_RANGE, len(keys)):
            break
    return low, high - low + 1


def count_by_sorting(keys: NDArray[Any], scratch: NDArray[Any] | None = None) -> KeyCounts:
    """Count distinct keys by sorting a copy of them, in `scratch` if it is given."""
    dtype = keys.dtype.newbyteorder("=")
    if not len(keys):
        return _empty(dtype)
    sampled = sorted_sample(keys)
    tail = len(sampled) // 64  # so that outliers do not make the pieces of the other keys too large
    low, high = int(sampled[tail]), int(sampled[-1 - tail])
    bits = (min(MAX_PIECES, len(keys) // PIECE + 1) - 1).bit_length()
    shift = min(max(0, (high - low).bit_length() - bits), 63)  # C shifts by less than 64
    ends = np.empty(1 << bits, np.int64)
    copy = np.empty(len(keys), dtype) if scratch is None else scratch[: len(keys)]
    native.partition_by_range(np.require(keys, dtype, ["C", "A"]), copy, ends, dtype.type(low), shift)
    start = 0
    for end in ends.tolist():
        copy[start:end].sort()
        start = end
    size = native.count_runs(copy)
    values, counts = np.empty(size, dtype), np.empty(size, np.int64)
    native.run_lengths(copy, values, counts)
    return values, counts


def _concatenate(partials: Sequence[KeyCounts], dtype: Any = None) -> KeyCounts:
    if len(partials) == 1:
        return partials[0]
    values, counts = zip(*(partials or [_empty(dtype)]), strict=True)
    return np.concatenate(values), np.concatenate(counts)


def _empty(dtype: Any) -> KeyCounts:
    return np.empty(0, dtype), np.empty(0, np.int64)


def merge_counts(one: KeyCounts, other: KeyCounts) -> KeyCounts:
    """The sums of counts whose keys are ascending."""
    size = len(one[0]) + len(other[0])
    values, counts = np.empty(size, one[0].dtype), np.empty(size, np.int64)
    size = native.merge_counts(*one, *other, values, counts)
    values.resize(size, refcheck=False)
    counts.resize(size, refcheck=False)
    return values, counts
