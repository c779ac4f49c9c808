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
    for values, counts in (count_by_sorting(keys), count_distinct(None, keys, True)):
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


@given(integers, st.integers(1, 9), st.integers(0, 63), st.data())
def test_keys_are_dealt_out_in_order(keys: Any, pieces: int, shift: int, data: st.DataObject) -> None:
    low = data.draw(st.sampled_from(keys.tolist()))
    dealt, ends = np.empty_like(keys), np.empty(pieces, np.int64)
    native.partition_by_range(keys, dealt, ends, keys.dtype.type(low), shift)
    assert sorted(dealt.tolist()) == sorted(keys.tolist())
    assert ends[-1] == len(keys)
    parts = [part for part in np.split(dealt, ends[:-1]) if len(part)]
    assert all(before.max() < after.min() for before, after in pairwise(parts))


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


@pytest.mark.thread_unsafe(reason="sets how many keys all threads sort at a time")
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


@pytest.mark.parametrize("shift", [-1, 64])
def test_a_shift_by_more_bits_than_a_key_has_is_refused(shift: int) -> None:
    keys = np.arange(3)
    with pytest.raises(ValueError, match=f"from 0 to 63, is {shift}"):
        native.partition_by_range(keys, np.empty(3, np.int64), np.empty(1, np.int64), np.int64(0), shift)


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
    with pytest.raises(ValueError, match="do not fit"):
        native.partition_by_range(keys, np.empty(2, np.int64), np.empty(1, np.int64), np.int64(0), 0)
    with pytest.raises(ValueError, match="of one length"):
        native.run_lengths(keys, np.empty(3, np.int64), np.empty(2, np.int64))
    native.run_lengths(keys, np.empty(1, np.int64), np.empty(1, np.int64))  # fewer cells than runs: those that fit
