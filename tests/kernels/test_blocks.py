"""Arrays as compiled loops take them."""

import numpy as np
import pytest

from parcount.kernels import blocks as room
from parcount.kernels.blocks import blocks
from tests.arrays.support import LAYOUTS


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 250])
def test_pieces_are_ready_and_make_up_the_whole(layout: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "BLOCK", 100)
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
