"""`add_at` and `increment`, against NumPy's."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import parcount as pc
from tests.arrays.support import INTEGERS, LAYOUTS, Array, assert_same, layouts, outcome, warns_as_numpy_does
from tests.pairwise import pairwise

pytestmark = pytest.mark.usefixtures("finest_grain")

threads = st.integers(1, 4)
sizes = st.one_of(st.integers(0, 30), st.integers(300, 3000))


def both(ours: Any, numpys: Any, a: Array, *args: Any, **keywords: Any) -> None:
    """The same change, or the same error and no change."""
    mine, theirs = a.copy(), a.copy()
    assert_same(outcome(ours, mine, *args, **keywords), outcome(numpys, theirs, *args))
    assert_same(mine, theirs)


def add_at_exactly(a: Array, indices: Array, b: Any) -> None:
    """NumPy's `add.at`, which adds signed integers to uint64 through float64, without the rounding of that."""
    integer = (type(b) is int and abs(b) < 1 << 64) or (isinstance(b, np.ndarray | np.integer) and b.dtype.kind in "iu")
    np.add.at(a, indices, np.asarray(b).astype(a.dtype) if integer else b)


class TestAddAt:
    @warns_as_numpy_does
    @given(st.data(), st.sampled_from(INTEGERS), st.sampled_from(INTEGERS[:7]), st.integers(1, 400), sizes, threads)
    def test_integers(
        self, data: st.DataObject, dtype: str, index_dtype: str, cells: int, size: int, threads: int
    ) -> None:
        random = np.random.default_rng(data.draw(st.integers(0, 99)))
        limits = np.iinfo(index_dtype)
        low, high = max(-cells, limits.min), min(cells - 1, limits.max)
        if data.draw(st.booleans()):
            low = 0
        indices = LAYOUTS[data.draw(layouts)](random.integers(low, high + 1, size).astype(index_dtype))
        a = random.integers(0, 100, cells).astype(dtype)
        one = st.sampled_from([1, 0, 3, -1, 100, int(np.iinfo(dtype).max), np.dtype(dtype).type(5), True, 2.0, 1 << 70])
        b: Any = data.draw(one)
        if data.draw(st.booleans()):
            b = random.integers(0, 100, size).astype(data.draw(st.sampled_from([dtype, "int64"])))
        both(pc.add_at, add_at_exactly if dtype == "uint64" else np.add.at, a, indices, b, threads=threads)

    @warns_as_numpy_does
    @given(st.data(), st.integers(1, 400), sizes, threads)
    def test_floats(self, data: st.DataObject, cells: int, size: int, threads: int) -> None:
        random = np.random.default_rng(data.draw(st.integers(0, 99)))
        indices = random.integers(-cells, cells, size)
        b = LAYOUTS[data.draw(layouts)](random.integers(0, 1000, size).astype("f8"))  # sums that are exact
        both(pc.add_at, np.add.at, np.arange(float(cells)), indices, b, threads=threads)
        both(pc.add_at, np.add.at, np.arange(float(cells)), indices, 0.5, threads=threads)

    @pytest.mark.parametrize("keywords", [{"threads": 2}, {}], ids=str)
    @pytest.mark.parametrize("grain", [1, None])
    def test_one_by_default(self, keywords: Any, grain: int | None) -> None:
        pc.set_grain(grain)
        a = np.zeros(3, int)
        pc.add_at(a, np.array([0, 2, -1]), **keywords)
        assert a.tolist() == [1, 0, 2]

    @pytest.mark.parametrize("index", [5, -6, 1 << 40, -(1 << 40)])
    @pytest.mark.parametrize("position", [0, 700, 999])
    @pytest.mark.parametrize("b", [1, np.ones(1000, np.int64)], ids=["one", "each"])
    def test_an_index_outside_adds_nothing(self, index: int, position: int, b: Any) -> None:
        indices = np.zeros(1000, int)
        indices[position] = index
        a = np.arange(5)
        with pytest.raises(IndexError, match=f"index {index} is out of bounds for axis 0 with size 5"):
            pc.add_at(a, indices, b, threads=2)
        assert a.tolist() == [0, 1, 2, 3, 4]

    @warns_as_numpy_does
    @pytest.mark.parametrize(
        ("indices", "b", "dtype"),
        pairwise(
            [
                [0, 1],
                (0,),
                (np.array([0, 1]),),
                slice(0, 2),
                1,
                [True, False, True],
                [[0, 1], [1, 2]],
                [0.5],
                np.array([1], "u8"),
            ],
            [1, 2.5, [1, 2], np.ones(2), "a", None, 1j],
            ["int64", "float32", "float64", "bool", "complex128", "object", ">i4"],
        ),
        ids=str,
    )
    def test_whatever_numpy_says_of_odd_input(self, indices: Any, b: Any, dtype: str) -> None:
        if np.ndim(indices) > np.ndim(b) > 0:
            b = [b, b]  # NumPy 2.4 does not broadcast `b` here: it reads on past its end
        both(pc.add_at, np.add.at, np.arange(3).astype(dtype), indices, b)
        both(pc.add_at, np.add.at, np.arange(3).astype(dtype), indices, b, threads=2)

    def test_whatever_numpy_does_to_read_only_cells(self) -> None:
        mine, theirs = np.zeros(3, int), np.zeros(3, int)
        mine.flags.writeable = theirs.flags.writeable = False
        assert_same(outcome(pc.add_at, mine, [0] * 9, threads=2), outcome(np.add.at, theirs, [0] * 9, 1))
        assert mine.tolist() == theirs.tolist()

    def test_no_array(self) -> None:
        with pytest.raises(TypeError):
            pc.add_at([0, 0], [0, 1])  # type: ignore[arg-type]

    def test_the_indices_themselves(self) -> None:
        a = np.array([1, 1, 0, 2])
        expected = a.copy()
        np.add.at(expected, a.copy(), 1)
        pc.add_at(a, a, threads=2)
        assert a.tolist() == expected.tolist()

    def test_strided_cells(self) -> None:
        a = np.zeros(6, int)
        pc.add_at(a[::2], np.array([0, 2, 2]), threads=2)
        assert a.tolist() == [1, 0, 0, 0, 2, 0]


class TestIncrement:
    @warns_as_numpy_does
    @given(st.data(), st.sampled_from([*INTEGERS, "float32", "float64", "complex64"]), sizes, threads)
    def test_equals_numpys(self, data: st.DataObject, dtype: str, size: int, threads: int) -> None:
        a = LAYOUTS[data.draw(st.sampled_from(["plain", "strided", "swapped", "unaligned"]))](
            np.arange(size).astype(dtype)
        )
        by = data.draw(
            st.sampled_from(
                [1, -1, 2.5, np.int8(3), 1 << 80, "x", None, np.arange(size), np.ones(1), np.ones((size, 1))]
            )
        )
        mine, theirs = a.copy(), a.copy()
        theirs_is = outcome(lambda: np.add(theirs, by, out=theirs))
        mine_is = outcome(pc.increment, mine, by, threads=threads)
        assert mine_is is (theirs_is if isinstance(theirs_is, type) else None)
        assert_same(mine, theirs)

    def test_a_number_out_of_range_raises_for_an_empty_array_too(self) -> None:
        with pytest.raises(OverflowError):
            pc.increment(np.zeros(0, np.uint8), -1, threads=1)

    def test_one_by_default_and_in_more_dimensions(self) -> None:
        a = np.arange(12).reshape(3, 4)
        pc.increment(a, threads=2)
        assert np.array_equal(a, np.arange(1, 13).reshape(3, 4))

    def test_what_overlaps(self) -> None:
        a = np.arange(1000)
        pc.increment(a, a[::-1], threads=2)
        assert (a == 999).all()

    def test_what_the_caller_says_of_overflow_holds_in_threads(self) -> None:
        a = np.full(1000, np.finfo(float).max)
        with np.errstate(over="raise"), pytest.raises(FloatingPointError):
            pc.increment(a, np.finfo(float).max, threads=2)
        with np.errstate(over="ignore"):
            pc.increment(a, np.finfo(float).max, threads=2)

    def test_read_only(self) -> None:
        a = np.zeros(1000)
        a.flags.writeable = False
        with pytest.raises(ValueError, match="read-only"):
            pc.increment(a, threads=2)
