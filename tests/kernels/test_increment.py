"""The workload `increment`: in place, and written back where a part was counted in a copy."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from parcount._native import increment as native
from parcount.kernels import WORKLOADS
from parcount.kernels.increment import increment_job
from tests.kernels.support import Guarded, counted, kernel

Loop = Callable[..., None]

cells = hnp.arrays(np.int64, st.integers(0, 300), elements=st.integers(-(1 << 63), (1 << 63) - 2))


@given(cells, st.integers(1, 7))
def test_any_split_adds_one_in_place(variant: str, before: NDArray[np.int64], parts: int) -> None:
    job = increment_job(before.copy(), original=before)
    counts = counted(kernel("increment", variant), job, parts)
    assert counts is job.arrays[0]
    assert np.array_equal(counts, before + 1)
    assert np.array_equal(job.exact(), before + 1)


def test_cells_beside_the_part_stay_untouched(variant: str) -> None:
    guarded = Guarded(100)
    kernel("increment", variant)(guarded.table)
    assert guarded.intact()
    assert (guarded.table == 1).all()


@given(cells, st.integers(1, 7), st.data())
def test_parts_counted_in_a_copy_are_written_back(before: NDArray[np.int64], parts: int, data: st.DataObject) -> None:
    # As other processes do with cells that are not shared; some parts may have been counted in place.
    job = increment_job(before.copy(), original=before)
    partials = []
    for part in job.split(parts):
        if data.draw(st.booleans()):
            part.table[:] += 1
            partials.append(part.table)
        else:
            partials.append(part.table + 1)
    assert np.array_equal(job.merge(partials), before + 1)


def test_reset_undoes_it() -> None:
    job = WORKLOADS["increment"].make(100, 1)
    original = job.arrays[0].copy()
    for _ in range(3):
        counted(kernel("increment", "numpy"), job, 2)
        assert not np.array_equal(job.arrays[0], original)
        job.reset()
        assert np.array_equal(job.arrays[0], original)


def test_heads_share_the_cells() -> None:
    job = WORKLOADS["increment"].make(100, 1)
    head = job.head(10)
    counted(kernel("increment", "numpy"), head, 1)
    assert np.array_equal(job.arrays[0][:10], job.original[:10] + 1)
    assert np.array_equal(job.arrays[0][10:], job.original[10:])


def test_make_draws_by_seed() -> None:
    make = WORKLOADS["increment"].make
    assert np.array_equal(make(1000, 3).arrays[0], make(1000, 3).arrays[0])
    assert not np.array_equal(make(1000, 3).arrays[0], make(1000, 4).arrays[0])


@pytest.mark.parametrize("loop", [native.released, native.held])
class TestWrongArguments:
    @pytest.mark.parametrize(
        "other",
        [np.zeros(4, np.int32), np.zeros(4), np.zeros(4, np.uint64), np.zeros((2, 2), np.int64), np.zeros(8, int)[::2]],
    )
    def test_cells_of_another_kind(self, loop: Loop, other: NDArray[np.generic]) -> None:
        with pytest.raises(ValueError, match=r"Buffer|contiguous"):
            loop(other)

    def test_cells_that_cannot_be_written(self, loop: Loop) -> None:
        other = np.zeros(4, np.int64)
        other.flags.writeable = False
        with pytest.raises(ValueError, match="read-only"):
            loop(other)

    def test_none(self, loop: Loop) -> None:
        with pytest.raises(TypeError, match="None"):
            loop(None)
