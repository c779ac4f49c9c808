"""Counting in one table that the workers share, against NumPy."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import parcount as pc
from parcount._native.partition import CELLS, NarrowCells, Partitions
from parcount.engine.shared_table import count_in_shared_table, has_shared_table
from parcount.kernels import shared_table
from parcount.kernels.shared_table import take_indices, take_keys
from tests.arrays.support import LAYOUTS, Array, layouts

KINDS = [Partitions, NarrowCells]
kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
DTYPES = ["int32", "int64", "uint32", "uint64"]


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parcount.engine.shared_table.chunks", lambda *args: 3 if args[2] is Partitions else 1)


def threads(workers: int) -> pc.Execution:
    return pc.Serial() if workers == 1 else pc.Threads(workers)


def random_keys(seed: int, dtype: str, bins: int, size: int) -> Array:
    random = np.random.default_rng(seed)
    keys = random.integers(0, bins, size)
    if seed % 3 == 0:  # some partitions take many blocks, and cells become zero again
        keys[random.random(size) < 0.8] = bins - 1
    return keys.astype(dtype)


@pytest.mark.usefixtures("small_chunks")
class TestAgainstNumPy:
    @kinds
    @given(
        st.integers(0, 99),
        st.sampled_from(DTYPES),
        st.sampled_from([1, 1000, CELLS, CELLS + 1, 3 * CELLS - 5]),
        st.integers(1, 20_000),
        st.integers(1, 4),
        layouts,
    )
    def test_counts(
        self, kind: type[Any], seed: int, dtype: str, bins: int, size: int, workers: int, layout: str
    ) -> None:
        keys = LAYOUTS[layout](random_keys(seed, dtype, bins, size))
        table, used = count_in_shared_table(np.ones(bins, np.int64), [keys], kind, take_keys, threads(workers))
        assert np.array_equal(table, 1 + np.bincount(keys.astype(np.int64), minlength=bins))
        assert used == 1 + int(keys.max())

    @given(st.integers(0, 99), st.sampled_from(DTYPES), st.integers(1, 20_000), st.integers(1, 4), layouts)
    def test_sums_are_bitwise_those_of_a_loop_over_all_keys(
        self, seed: int, dtype: str, size: int, workers: int, layout: str
    ) -> None:
        bins = 2 * CELLS + 9
        keys = random_keys(seed, dtype, bins, size)
        weights = LAYOUTS[layout](np.random.default_rng(seed).normal(size=size))
        table, used = count_in_shared_table(np.zeros(bins), [keys, weights], Partitions, take_keys, threads(workers))
        assert np.array_equal(table, np.bincount(keys.astype(np.int64), weights, bins))
        assert used == 1 + int(keys.max())

    @kinds
    @given(st.integers(0, 99), st.integers(1, 20_000), st.integers(1, 4))
    def test_negative_indices_count_from_the_end(self, kind: type[Any], seed: int, size: int, workers: int) -> None:
        bins = CELLS + 9
        indices = np.random.default_rng(seed).integers(-bins, bins, size)
        expected = np.zeros(bins, np.int64)
        np.add.at(expected, indices, 1)
        table, _ = count_in_shared_table(np.zeros(bins, np.int64), [indices], kind, take_indices, threads(workers))
        assert np.array_equal(table, expected)


@kinds
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("position", [0, 4999, 9999])
class TestAKeyOutside:
    def test_makes_the_table_longer(self, kind: type[Any], workers: int, position: int) -> None:
        keys = np.arange(10_000) % 77
        keys[position] = 3 * CELLS
        table, used = count_in_shared_table(
            np.zeros(100, np.int64), [keys], kind, take_keys, threads(workers), grow=True
        )
        assert used == 3 * CELLS + 1
        assert np.array_equal(table[:used], np.bincount(keys))

    def test_is_refused(self, kind: type[Any], workers: int, position: int) -> None:
        keys = np.arange(10_000) % 77
        for outside, take, grow, error in (
            (-1, take_keys, True, "must have no negative elements"),
            (100, take_keys, False, "a key lies outside 0 … 99"),
            (100, take_indices, False, "index 100 is out of bounds for axis 0 with size 100"),
            (-101, take_indices, False, "index -101 is out of bounds for axis 0 with size 100"),
        ):
            keys[position] = outside
            table = np.zeros(100, np.int64)
            with pytest.raises((ValueError, IndexError), match=error):
                count_in_shared_table(table, [keys], kind, take, threads(workers), grow=grow)
            assert not table.any()


def test_what_has_a_shared_table() -> None:
    assert has_shared_table(pc.Serial())
    assert has_shared_table(pc.Threads(2))
    assert not has_shared_table(pc.Processes(2))


@pytest.mark.parametrize("workers", [1, 2])
def test_public_functions_use_it(monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    for name in ("MIN_BINS", "MIN_BINS_OF_PARTITIONS", "MIN_BINS_OF_SUMS"):
        monkeypatch.setattr(shared_table, name, 1000)
    used = []
    for module in ("bincount", "scatter"):

        def spy(table: Array, arrays: Any, kind: type[Any], *args: Any, **keywords: Any) -> Any:
            used.append(kind)
            return count_in_shared_table(table, arrays, kind, *args, **keywords)

        monkeypatch.setattr(f"parcount.arrays.{module}.count_in_shared_table", spy)
    random = np.random.default_rng(0)
    x, w = random.integers(0, 3 * CELLS, 300_000), random.normal(size=300_000)
    assert np.array_equal(pc.bincount(x, threads=workers), np.bincount(x))
    assert np.array_equal(pc.bincount(x, w, threads=workers), np.bincount(x, w))
    assert np.array_equal(pc.bincount(x, minlength=4 * CELLS, threads=workers), np.bincount(x, minlength=4 * CELLS))
    out = np.ones(3 * CELLS, np.uint32)
    pc.bincount(x, out=out, threads=workers)
    assert np.array_equal(out, 1 + np.bincount(x, minlength=3 * CELLS))
    with pytest.raises(ValueError, match="a key lies outside"):
        pc.bincount(x, out=np.zeros(2 * CELLS, np.int64), threads=workers)
    a, b = random.normal(size=3 * CELLS), np.zeros(3 * CELLS)
    expected = a + np.bincount(x, w, 3 * CELLS)
    pc.add_at(a, x, w, threads=workers)
    pc.add_at(b, x - 3 * CELLS, w, threads=workers)
    assert np.array_equal(a, expected)
    assert np.array_equal(b, np.bincount(x, w, 3 * CELLS))
    assert used == [Partitions] * 7
