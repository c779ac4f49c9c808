"""The roads to the different keys, each by itself."""

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from parcount._native import distinct as native
from parcount.kernels import unique_counts
from parcount.kernels.unique_counts import (
    MIN_TABLE_RANGE,
    chunk_count,
    count_by_partitioning,
    count_by_sorting,
    count_distinct,
    count_distinct_in_ranges,
    key_range,
    merge_counts,
    split_range,
)

DTYPES = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]

integers = st.sampled_from(DTYPES).flatmap(
    lambda dtype: arrays.arrays(np.dtype(dtype), st.integers(1, 200), elements=arrays.from_dtype(np.dtype(dtype)))
)


def counted(pair: tuple[Any, Any]) -> dict[int, int]:
    values, counts = pair
    assert counts.dtype == np.int64
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def ascending(values: Any) -> bool:
    return bool((values[1:] > values[:-1]).all())


@given(integers)
def test_each_road_finds_the_same(keys: Any) -> None:
    expected = Counter(keys.tolist())
    hashed = native.HashTable()
    assert hashed.add(keys) == len(keys)
    values, counts = hashed.result()
    assert counted((values.astype(keys.dtype), counts)) == expected
    parts = list(count_by_partitioning(keys))
    joined = np.concatenate([part for part, _ in parts]), np.concatenate([part for _, part in parts])
    for values, counts in (count_by_sorting(keys), count_distinct(None, keys, True), joined):
        assert counted((values, counts)) == expected
        assert values.dtype == keys.dtype
        assert ascending(values)
    near = native.RangeTable(int(keys.min()), 1 << 16)
    assert near.add(keys) == len(keys)
    values, counts = near.result()
    low = int(keys.min())
    assert counted((values.astype(keys.dtype), counts)) == {
        key: count for key, count in expected.items() if key - low < 1 << 16
    }


@given(integers, st.data())
def test_merged_lists_are_the_list_of_the_whole(keys: Any, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(keys)))
    one, other = (count_distinct(None, part, True) for part in (keys[:cut], keys[cut:]))
    values, counts = merge_counts(one, other)
    assert counted((values, counts)) == Counter(keys.tolist())
    assert ascending(values)


WIDE = ["int32", "int64", "uint32", "uint64"]


@pytest.mark.parametrize("dtype", WIDE)
@pytest.mark.parametrize("shape", [0, 1, 4, 40])
def test_partitions_hold_every_key_of_their_range_in_order(dtype: str, shape: int) -> None:
    rng = np.random.default_rng(shape)
    info = np.iinfo(dtype)
    keys = rng.integers(info.min, info.max, 200_000, dtype=dtype) >> (shape * info.bits // 64)
    keys[::7] = keys[0]
    low, high = sorted(keys[:2].tolist())
    parts = native.Partitions(np.sort(keys[:: 1 << 8]), low, high, len(keys))
    parts.add(keys[:70_000])
    parts.add(keys[70_000:])
    held = [parts.keys(part) for part in range(len(parts))]
    assert [parts.size(part) for part in range(len(parts))] == [len(part) for part in held]
    inside = np.sort(keys[(keys >= low) & (keys <= high)])
    assert np.array_equal(np.concatenate([np.sort(part) for part in held]), inside)
    with pytest.raises(IndexError):
        parts.size(len(parts))


@pytest.mark.parametrize("dtype", WIDE)
@pytest.mark.parametrize("steep", [False, True])
def test_a_partition_is_counted_whatever_its_keys(dtype: str, steep: bool) -> None:
    rng = np.random.default_rng(0)
    size = native.MAX_KEYS_IN_PARTITION
    top = np.iinfo(dtype).max
    keys = rng.integers(0, 1 << 20, size).astype(dtype)
    if steep:  # most keys in one bucket, not in order: sorted by their bytes
        keys[0] = top
    parts = native.Partitions(np.sort(keys[:1]), np.iinfo(dtype).min, top, size)
    parts.add(keys)
    assert len(parts) == 1
    values, counts = np.empty(size, dtype), np.empty(size, np.int64)
    found, following = parts.count(0, values, counts)
    expected = np.unique_counts(keys)
    assert following == 1
    assert np.array_equal(values[:found], expected.values)
    assert np.array_equal(counts[:found], expected.counts)
    assert parts.count(0, values[:-1], counts) == (0, 0)  # no room
    parts.add(keys[:1])
    assert parts.count(0, values, counts) == (0, 0)  # too many
    with pytest.raises(ValueError, match="the dtype of the partitioned keys"):
        parts.add(keys.astype("u8" if dtype != "uint64" else "i8"))


def test_partitions_need_a_sample_of_wide_keys() -> None:
    for sampled, low in [(np.empty(0, int), 0), (np.zeros(1, np.int16), 0), (np.zeros(1, int), 2)]:
        with pytest.raises(ValueError, match="sample"):
            native.Partitions(sampled, low, 1, 1)


@given(integers, st.data())
def test_keys_of_a_range_are_selected_as_far_as_there_is_room(keys: Any, data: st.DataObject) -> None:
    low, high = sorted(data.draw(st.tuples(*[st.sampled_from(keys.tolist())] * 2)))
    start, room = data.draw(st.integers(0, len(keys))), data.draw(st.integers(0, len(keys)))
    guarded = np.full(room + 1, 77, keys.dtype)
    taken, stopped = native.select_range(keys, start, low, high, guarded[:room])
    inside = [key for key in keys[start:stopped].tolist() if low <= key <= high]
    assert guarded[:taken].tolist() == inside
    assert guarded[room] == 77
    assert taken == room or stopped == len(keys)
    with pytest.raises(ValueError, match="out of bounds for"):
        native.select_range(keys, len(keys) + 1, low, high, guarded)


@pytest.mark.thread_unsafe(reason="sets how many keys all threads partition at a time")
@given(integers, st.integers(1, 5), st.integers(1, 40), st.data())
def test_ranges_hold_every_key_once(keys: Any, parts: int, chunk: int, data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unique_counts, "CHUNK", chunk * 4)
        patch.setattr(unique_counts, "MIN_TABLE_RANGE", data.draw(st.sampled_from([1, 1 << 16])))
        within = split_range(np.sort(keys), chunk_count(len(keys), parts))
        limits = np.iinfo(keys.dtype)
        assert within[0][0] == limits.min
        assert within[-1][1] == limits.max
        assert all(high + 1 == low for (_, high), (low, _) in pairwise(within))
        values, counts = count_distinct_in_ranges(None, keys, within)
    assert counted((values, counts)) == Counter(keys.tolist())
    assert ascending(values)
    assert counted(count_distinct_in_ranges(None, keys, [])) == {}


def test_a_sample_that_has_been_left_behind_does_not_lead_beyond_the_ends() -> None:
    assert split_range(np.array([1, 5, 9]), 3, 4, 6) == [(4, 4), (5, 6)]
    assert split_range(np.array([1, 2, 9]), 3, 4, 6) == [(4, 6)]


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_a_few_keys_may_lie_as_far_apart_as_keys_can(dtype: str) -> None:
    info = np.iinfo(dtype)
    keys = np.array([info.max, info.min, info.max], dtype)
    values, counts = count_by_sorting(keys)
    assert values.tolist() == [info.min, info.max]
    assert counts.tolist() == [1, 2]


def test_extent_looks_no_further_than_a_table_could_reach() -> None:
    assert key_range(np.array([7, 5, 6])) == (5, 3)
    assert key_range(np.array([250, 3], np.uint8)) == (3, 248)
    far = np.zeros(1 << 20, np.int64)
    far[0], far[-1] = MIN_TABLE_RANGE << 5, -(1 << 62)
    assert key_range(far) == (0, (MIN_TABLE_RANGE << 5) + 1)


def test_lists_that_do_not_fit_are_refused() -> None:
    keys, counts = np.arange(3), np.ones(3, np.int64)
    with pytest.raises(ValueError, match="must be of one length"):
        native.merge_counts(keys, counts, keys, counts, np.empty(5, np.int64), np.empty(6, np.int64))
