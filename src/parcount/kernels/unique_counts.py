"""The job `unique_counts`: the distinct keys and the count of each, when the range of the keys is not known.

There are three algorithms (``bench/test_distinct_methods.py``): a table of all keys from the least to the greatest, if
max - min < n; a hash table, if it stays in cache; otherwise the keys are partitioned by range into parts that are
sorted in cache. Each worker partitions the keys of its share of the range, so the counts need no merge.
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

CHUNK = 1 << 26
"""Maximum keys that are partitioned at a time, about: their number is estimated. No more of the input is copied."""

SELECTED = 1 << 18
"""Maximum keys of a range that are copied at a time to be counted in a table."""

RESULTS = 1 << 18
"""Distinct keys for which memory is allocated at a time."""

MIN_SAMPLE = 1 << 8
"""Keys in a sample of an array with fewer than 64 times as many."""

SAMPLE = 1 << 12
"""Keys in a sample. Of a million distinct keys, about eight are in it twice."""

PARTITION_SAMPLE = 1 << 14
"""Keys in a sample by which partitions are made about equally large."""

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
    sampled = sorted_sample(keys, max(MIN_SAMPLE, min(SAMPLE, len(keys) >> 6)))
    if len(sampled) - native.count_runs(sampled) > MAX_SAMPLE_DUPLICATES:
        return []
    if int(sampled[-1]) - int(sampled[0]) < max(MIN_TABLE_RANGE, len(keys)):
        if workers == 1:  # `count_distinct` would compute the range of the keys again
            return []
        low, size = key_range(keys)
        if size <= max(MIN_TABLE_RANGE, len(keys)):
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
    """Find the distinct keys in ascending ranges and the count of each, by partitioning."""
    dtype = keys.dtype.newbyteorder("=")
    counted: list[KeyCounts] = []
    for low, high in ranges:
        if high - low < max(MIN_TABLE_RANGE, len(keys)):
            chunk = np.empty(min(SELECTED, len(keys)), dtype)
            counted.append(_count_in_table(_chunks_of_range(keys, low, high, chunk), low, high - low + 1, dtype))
        else:
            counted += count_by_partitioning(keys, low, high, len(keys) // len(ranges))
    return _concatenate(counted, dtype)


def count_by_partitioning(
    keys: NDArray[Any], low: int | None = None, high: int | None = None, expected: int | None = None
) -> Iterator[KeyCounts]:
    """Yield the distinct keys from `low` to `high`, by default all, and their counts, with ascending keys.

    Parameters
    ----------
    keys : ndarray
        Of any integer dtype, not empty.
    low, high : int, optional
        The least and the greatest key to be counted.
    expected : int, optional
        About how many keys will be counted.
    """
    dtype = keys.dtype.newbyteorder("=")
    wide = np.promote_types(dtype, np.int32 if dtype.kind == "i" else np.uint32)
    limits = np.iinfo(dtype)
    low, high = (int(limits.min) if low is None else low), (int(limits.max) if high is None else high)
    sampled = sorted_sample(keys, PARTITION_SAMPLE).astype(wide)
    inside = sampled[np.searchsorted(sampled, low) : np.searchsorted(sampled, high, "right")]
    parts = native.Partitions(
        inside if len(inside) else np.array([low], wide), low, high, len(keys) if expected is None else expected
    )
    for (block,) in blocks([keys], [wide]):
        parts.add(block)
    room, part = RESULTS, 0
    while part < len(parts):
        room = min(room, len(keys))
        values, counts = np.empty(room, wide), np.empty(room, np.int64)
        found, stopped = parts.count(part, values, counts)
        if found:
            yield values[:found].astype(dtype, copy=False), counts[:found]
        if stopped == part:  # this partition has too many keys
            many = parts.keys(part)
            if len(many) < len(keys):
                found_values, found_counts = count_distinct(None, many, ascending=True)
                yield found_values.astype(dtype, copy=False), found_counts
            else:
                yield count_by_sorting(many.astype(dtype, copy=False))
            stopped += 1
        part = stopped


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


def sorted_sample(keys: NDArray[Any], size: int = SAMPLE) -> NDArray[Any]:
    """A sample of at least `size` keys, if there are as many, ascending."""
    return np.sort(sample(keys, size).astype(keys.dtype.newbyteorder("=")))


def chunk_count(size: int, parts: int = 1) -> int:
    """The number of ranges into which `size` keys are divided to be partitioned: a multiple of `parts`.

    Examples
    --------
    >>> chunk_count(20_000_000, 2)
    2
    """
    return -(-size // (CHUNK * parts)) * parts


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


def count_by_sorting(keys: NDArray[Any]) -> KeyCounts:
    """Count distinct keys by sorting a copy of them."""
    ordered = np.sort(keys)
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    return ordered[starts], np.diff(starts, append=len(ordered))


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
