"""Calls with the most usual arguments on small and medium arrays, which have loops of their own, against NumPy's."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import parcount as pc
from tests.arrays.support import INTEGERS, LAYOUTS, assert_same, layouts, outcome, warns_as_numpy_does
from tests.arrays.test_bincount import ODD

sizes = st.sampled_from([0, 1, 100, 512, 513, 3000])
LARGE = 40_000
"""Elements of an array that is not small."""


@given(st.data(), st.sampled_from([*INTEGERS, "bool"]), sizes, layouts)
def test_counts_equal_numpys(data: st.DataObject, dtype: str, size: int, layout: str) -> None:
    x = LAYOUTS[layout]((np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, 100, size)).astype(dtype))
    assert_same(pc.bincount(x), np.bincount(x.astype(int)))
    assert_same(pc.bincount(x, minlength=120), np.bincount(x.astype(int), minlength=120))
    weights: Any = np.random.default_rng(1).normal(size=size) * 100
    weights = weights.astype(data.draw(st.sampled_from(["f8", "f4", "f2", ">f8", "i4", "u8", "?", "g", "c16"])))
    if data.draw(st.booleans()):
        weights = weights.tolist()
    expected = outcome(np.bincount, x.astype(int), weights)
    assert_same(outcome(pc.bincount, x, weights), expected)


@pytest.mark.parametrize("name", ODD)
def test_unusual_input_gives_numpys_result_or_error(name: str) -> None:
    for weights, minlength in product(
        [None, [1.0], [0.5, 1, 2], np.ones(3), [[1], [1, 2]], np.ones((3, 1))], [0, 7, -1, None, True, 1 << 70, 1 << 62]
    ):
        expected = outcome(np.bincount, ODD[name], weights, minlength)
        assert_same(outcome(pc.bincount, ODD[name], weights, minlength), expected)
        assert_same(outcome(pc.bincount, ODD[name], weights, minlength, threads=1), expected)


@pytest.mark.parametrize("keywords", [{}, {"threads": 1}], ids=str)
@pytest.mark.parametrize("key", [(1 << 63) - 1, (1 << 63) - 2, 1 << 62])
def test_a_key_that_needs_more_than_all_memory_is_refused(key: int, keywords: Any) -> None:
    for x in (np.array([1, key]), np.array([1, key], np.uint64), np.array([1, key])[::-1]):
        with pytest.raises((MemoryError, ValueError)):
            pc.bincount(x, **keywords)
        with pytest.raises((MemoryError, ValueError)):
            pc.bincount(x, [1.0, 2.0], **keywords)


def test_bytes_that_are_no_booleans_count_as_true() -> None:
    for size in (100, LARGE):
        x = (np.arange(size) % 5).astype(np.uint8).view(bool)
        assert_same(pc.bincount(x), np.bincount(x))
        assert_same(pc.unique_counts(x), np.unique_counts(x))


@warns_as_numpy_does
@given(st.data(), st.sampled_from([*INTEGERS, "float64", "float32"]), sizes, layouts)
def test_sums_equal_numpys(data: st.DataObject, dtype: str, size: int, layout: str) -> None:
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    indices = LAYOUTS[layout](random.integers(-50, 50, size).astype(data.draw(st.sampled_from(INTEGERS[:7]))) % 50)
    a = LAYOUTS[data.draw(st.sampled_from(["plain", "strided", "reversed", "swapped", "unaligned"]))](
        random.integers(0, 100, 50).astype(dtype)
    )
    each = LAYOUTS[data.draw(layouts)](random.integers(0, 100, size).astype(data.draw(st.sampled_from([dtype, "i8"]))))
    b: Any = data.draw(st.sampled_from([each, 1, -1, 0.5, True, np.int8(3), [2] * size]))
    mine, theirs = a.copy(), a.copy()
    theirs_b = np.array(b).astype("u8") if dtype == "uint64" and b is not each and b != 0.5 else b  # NumPy rounds here
    assert_same(outcome(pc.add_at, mine, indices, b), outcome(np.add.at, theirs, indices, theirs_b))
    assert_same(mine, theirs)


RANGES: list[Any] = [
    None, (0, 1), (-1.5, np.float64(2)), [0, 1], (1, 1), (1, 0), (0, np.inf), (0.0, 5e-324), (1e15, 1e15 + 8),
    (-1e308, 1e308), (0, 1 << 70), (0, 1, 2), 5,
]  # fmt: skip


@warns_as_numpy_does
@given(st.data(), st.sampled_from([1, 100, 3000, LARGE]), st.sampled_from([1, 3, 100, 1000, np.int64(9), 0, True]))
def test_histograms_equal_numpys(data: st.DataObject, size: int, bins: Any) -> None:
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    ends = data.draw(st.sampled_from(RANGES))
    low, high = (0, 1) if ends is None or ends == 5 else (float(end) for end in ends[:2])
    with np.errstate(all="ignore"):
        a = low + (high - low) * random.integers(-1, 12, size) / 10  # many on edges
        a[::3] = np.nextafter(a[::3], random.normal(size=len(a[::3])))
    a[:: data.draw(st.sampled_from([size + 1, 7]))] = data.draw(st.sampled_from([0.5, -0.0, np.nan, np.inf]))
    a = data.draw(st.sampled_from([*LAYOUTS.values(), lambda a: a.reshape(-1, 1), lambda a: a.astype("f4")]))(a)
    assert_same(outcome(pc.histogram, a, bins, ends), outcome(np.histogram, a, bins, ends))
    assert_same(outcome(pc.histogram, a, range=ends, bins=bins), outcome(np.histogram, a, bins, ends))


@given(st.data(), st.sampled_from(INTEGERS), st.sampled_from([1, 100, 3000, LARGE]), layouts)
def test_distinct_values_equal_numpys(data: st.DataObject, dtype: str, size: int, layout: str) -> None:
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    limits = np.iinfo(dtype)
    ends = data.draw(
        st.sampled_from([(0, 9), (limits.max - 99, limits.max), (limits.min, limits.max), (0, 100 * size)])
    )
    x = random.integers(ends[0], min(ends[1], limits.max), size, dtype, endpoint=True)
    x = data.draw(st.sampled_from([LAYOUTS[layout], lambda x: x.reshape(-1, 1), lambda x: x.view(bool)[: len(x)] * 3]))(
        x
    )
    assert_same(pc.unique_counts(x), np.unique_counts(x))


@warns_as_numpy_does
@given(layouts, st.sampled_from(["int64", "uint8", "float64"]), st.sampled_from([0, 5, 1024, 1025, LARGE]))
def test_increments_equal_numpys(layout: str, dtype: str, size: int) -> None:
    for by in (1, -3, 1 << 62, 1 << 63, 1.5, True, np.int8(3)):
        mine, theirs = (LAYOUTS[layout](np.arange(size).astype(dtype)) for _ in range(2))
        assert_same(
            outcome(pc.increment, mine, by), outcome(lambda a, by: np.add(a, by, out=a) is None or None, theirs, by)
        )
        assert_same(mine, theirs)


def test_indices_that_are_the_array_are_those_before_the_call() -> None:
    for size in (9, 3000, LARGE):
        a = np.arange(size) % 5
        expected = a + np.bincount(a, minlength=size)
        pc.add_at(a, a)
        assert_same(a, expected)


@pytest.mark.parametrize("size", [9, LARGE])
@pytest.mark.parametrize("b", ["one", "int64", "uint64", "int8"])
@pytest.mark.parametrize("dtype", ["int64", "uint64"])
@pytest.mark.parametrize("cells", [2, 1 << 19])
def test_integers_of_64_bits_are_added_exactly(size: int, b: str, dtype: str, cells: int) -> None:
    a = np.full(cells, (1 << 62) + 1, dtype)
    for addend in [1, np.int64(1)] if b == "one" else [np.ones(size, b)]:
        before = int(a[0])
        pc.add_at(a, np.zeros(size, int), addend)
        assert a[0] == before + size
    assert a[1] == (1 << 62) + 1


@pytest.mark.parametrize("size", [9, LARGE])
def test_cells_that_are_one_get_all(size: int) -> None:
    indices = np.arange(size) % 3
    one = np.zeros(1, int)
    a = np.lib.stride_tricks.as_strided(one, (3,), (0,), writeable=True)
    pc.add_at(a, indices)
    assert one == size
    pc.bincount(indices, out=a)
    assert one == 2 * size
    pc.histogram(indices, [0, 1, 2, 3], out=a)
    assert one == 3 * size
