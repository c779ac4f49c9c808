"""Arrays as compiled loops take them."""

import pickle
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from parcount.kernels import blocks as room
from parcount.kernels.blocks import Flat, blocks, flat, sample
from tests.arrays.support import LAYOUTS


@pytest.fixture
def blocks_of_100() -> Iterator[None]:
    before, room.BLOCK = room.BLOCK, 100
    yield
    room.BLOCK = before


@pytest.mark.usefixtures("blocks_of_100")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 250])
def test_pieces_are_ready_and_make_up_the_whole(layout: str, size: int) -> None:
    a, b = LAYOUTS[layout](np.arange(size, dtype=np.int16)), np.arange(size, dtype=">f4")
    pieces = list(blocks([a, b], [a.dtype, np.dtype(np.float64)]))
    assert all(len(one) == len(other) <= 100 for one, other in pieces)
    for one, other in pieces:
        assert one.dtype == np.int16
        assert other.dtype == np.float64
        assert one.dtype.isnative
        assert other.dtype.isnative
        assert one.flags.c_contiguous
        assert one.flags.aligned
    assert [int(x) for one, _ in pieces for x in one] == list(range(size))
    assert [int(x) for _, other in pieces for x in other] == list(range(size))


@pytest.mark.parametrize("layout", ["plain", "read-only"])
def test_what_is_ready_is_not_copied(layout: str) -> None:
    a = LAYOUTS[layout](np.arange(10**6))
    ((whole,),) = blocks([a], [a.dtype])
    assert whole is a


@st.composite
def with_gaps(draw: st.DrawFn) -> Any:
    shape = draw(arrays.array_shapes(min_dims=2, max_dims=4, max_side=9))
    array = np.arange(np.prod(shape), dtype=draw(st.sampled_from(["i8", ">i4", "u2", "c16"]))).reshape(shape)
    view = array[draw(arrays.basic_indices(shape, min_dims=1, allow_ellipsis=True))]
    return view.transpose(draw(st.permutations(range(view.ndim))))


@given(with_gaps(), st.data())
def test_a_flat_array_is_cut_as_a_flattened_one(array: Any, data: st.DataObject) -> None:
    lazy, whole = Flat(array, "C"), array.ravel()
    for _ in range(3):
        assert len(lazy) == len(whole)
        assert lazy.dtype == whole.dtype
        for one, other in ((lazy, whole), (lazy.real, whole.real), (lazy.imag, whole.imag)):
            assert np.array_equal(np.asarray(one), other)
        assert np.array_equal(pickle.loads(pickle.dumps(lazy)), whole)
        size = data.draw(st.integers(1, 9))
        assert np.array_equal(sample(lazy, size), whole[:: max(1, len(whole) // size)])
        part = slice(*(data.draw(st.none() | st.integers(-len(whole) - 2, len(whole) + 2)) for _ in range(2)))
        lazy, whole = lazy[part], whole[part]


@given(with_gaps(), st.sampled_from(["C", "K"]))
def test_pieces_of_an_array_with_gaps_make_up_the_whole(array: Any, order: Literal["C", "K"]) -> None:
    pieces = [piece for (piece,) in blocks([flat(array, order)], [np.dtype("c16")])]
    together = np.concatenate(pieces) if pieces else np.empty(0)
    assert np.array_equal(together, array.ravel()) if order == "C" else set(together) == set(array.ravel())


def test_an_array_that_can_be_seen_as_flat_is() -> None:
    array = np.arange(24).reshape(2, 3, 4)
    assert np.shares_memory(flat(array), array)
    assert np.shares_memory(flat(array.T, "K"), array)
    assert isinstance(flat(array.T), Flat)


def test_what_a_flat_array_cannot() -> None:
    lazy = Flat(np.ones((2, 2)), "C")
    with pytest.raises(ValueError, match="must be 1"):
        lazy[::2]
    with pytest.raises(ValueError, match="without a copy"):
        np.asarray(lazy, copy=False)
