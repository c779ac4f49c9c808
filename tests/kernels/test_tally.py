"""The workload `tally`, against splitmix64 written a second time and its published outputs."""

from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parcount._native import tally as native
from parcount.kernels import WORKLOADS, TallyJob
from parcount.kernels.numpy_loops import CHUNK, keys_at
from tests.kernels.support import Guarded, counted, kernel

PUBLISHED = [
    6457827717110365317,
    3203168211198807973,
    9817491932198370423,
    4593380528125082431,
    16408922859458223821,
]
"""The first outputs of splitmix64 seeded with 1234567 (Rosetta Code, "Pseudo-random numbers/Splitmix64")."""

WORD = (1 << 64) - 1

Loop = Callable[..., None]

seeds = st.integers(0, WORD)
powers_of_two = st.integers(0, 12).map(lambda exponent: 1 << exponent)


def splitmix64(seed: int) -> Iterator[int]:
    """The generator as its authors wrote it, step by step."""
    state = seed
    while True:
        state = (state + 0x9E3779B97F4A7C15) & WORD
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & WORD
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
        yield z ^ (z >> 31)


def from_position(start: int, seed: int) -> Iterator[int]:
    """The generator from its output `start` on: every step before it only adds to the state."""
    return splitmix64((seed + start * 0x9E3779B97F4A7C15) & WORD)


class TestKeys:
    def test_published(self) -> None:
        assert list(islice(splitmix64(1234567), 5)) == PUBLISHED
        assert keys_at(0, 5, 1234567).tolist() == PUBLISHED

    @given(seeds, st.integers(0, 300), st.integers(0, 300))
    def test_depend_on_the_position_alone(self, seed: int, start: int, length: int) -> None:
        keys = list(islice(splitmix64(seed), start, start + length))
        assert keys_at(start, start + length, seed).tolist() == keys
        assert list(islice(from_position(start, seed), length)) == keys

    @given(seeds, st.integers(0, (1 << 63) - 50))
    def test_at_any_position_there_is(self, seed: int, start: int) -> None:
        assert keys_at(start, start + 50, seed).tolist() == list(islice(from_position(start, seed), 50))


class TestCounts:
    @given(st.integers(0, 3000), seeds, powers_of_two, st.integers(1, 7))
    def test_any_split_is_exact(self, variant: str, n: int, seed: int, bins: int, parts: int) -> None:
        job = TallyJob(n, seed, bins)
        counts = counted(kernel("tally", variant), job, parts)
        assert np.array_equal(counts, job.exact())
        assert counts.dtype == np.int64
        assert counts.sum() == n

    @given(seeds, st.integers(0, (1 << 63) - 101), powers_of_two)
    def test_exact_at_any_position_there_is(self, variant: str, seed: int, start: int, bins: int) -> None:
        counts = np.zeros(bins, np.int64)
        kernel("tally", variant)(counts, start, start + 100, seed)
        keys = np.array([key % bins for key in islice(from_position(start, seed), 100)])
        assert np.array_equal(counts, np.bincount(keys, minlength=bins))

    def test_numpys_chunks_join_without_a_seam(self) -> None:
        n = 2 * CHUNK + 3
        keys = np.array([key % 64 for key in islice(splitmix64(5), n)])
        assert np.array_equal(TallyJob(n, 5, 64).exact(), np.bincount(keys, minlength=64))

    def test_the_table_is_added_to(self, variant: str) -> None:
        counts = np.arange(8)
        kernel("tally", variant)(counts, 0, 100, 1)
        assert np.array_equal(counts, TallyJob(100, 1, 8).exact() + np.arange(8))

    def test_cells_beside_the_table_stay_untouched(self, variant: str) -> None:
        guarded = Guarded(16)
        kernel("tally", variant)(guarded.table, 0, 10_000, 3)
        assert guarded.intact()
        assert guarded.table.sum() == 10_000


def test_make_takes_size_and_seed() -> None:
    assert WORKLOADS["tally"].make(10, 3) == TallyJob(10, seed=3)
    assert TallyJob(10, 3).head(4) == TallyJob(4, 3)


@pytest.mark.parametrize("loop", [native.released, native.held])
class TestWrongArguments:
    @pytest.mark.parametrize("bins", [0, 3, 6, 1000])
    def test_bins_that_are_no_power_of_two(self, loop: Loop, bins: int) -> None:
        with pytest.raises(ValueError, match=f"must be a power of two, not {bins}"):
            loop(np.zeros(bins, np.int64), 0, 1, 0)

    @pytest.mark.parametrize(
        "counts",
        [
            np.zeros(4, np.int32),
            np.zeros(4),
            np.zeros(4, ">i8"),
            np.zeros((2, 2), np.int64),
            np.zeros(8, np.int64)[::2],
        ],
    )
    def test_a_table_of_another_kind(self, loop: Loop, counts: np.ndarray) -> None:
        with pytest.raises(ValueError, match=r"Buffer|contiguous|Big-endian"):
            loop(counts, 0, 1, 0)

    def test_a_table_that_cannot_be_written(self, loop: Loop) -> None:
        counts = np.zeros(4, np.int64)
        counts.flags.writeable = False
        with pytest.raises(ValueError, match="read-only"):
            loop(counts, 0, 1, 0)

    def test_none(self, loop: Loop) -> None:
        with pytest.raises(TypeError, match="None"):
            loop(None, 0, 1, 0)

    @pytest.mark.parametrize("args", [(-1, 1, 0), (0, 1 << 64, 0), (0, 1, -1), (0, 1, 1 << 64)])
    def test_numbers_out_of_range(self, loop: Loop, args: tuple[int, int, int]) -> None:
        with pytest.raises(OverflowError):
            loop(np.zeros(4, np.int64), *args)
