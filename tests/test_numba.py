"""`parcount.numba`: functions that compiled functions call."""

import gc
import weakref

import numpy as np
import pytest

numba = pytest.importorskip("numba")

from parcount.numba import Edges, bincount, histogram  # noqa: E402

RNG = np.random.default_rng(0)
KEYS = RNG.integers(0, 200, 5000)
VALUES = RNG.integers(0, 1000, 5000) / 1000
WEIGHTS = RNG.integers(-9, 9, 5000).astype(float)  # whose sums are exact


@pytest.mark.slow  # compiles for each dtype
@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_bincount(dtype):
    counts, keys = np.ones(256, np.int64), KEYS.astype(dtype)
    assert bincount(counts, keys) == len(keys)
    assert (counts == 1 + np.bincount(keys, minlength=256)).all()
    if dtype != "uint8":
        sums = np.ones(256)
        assert bincount(sums, keys, WEIGHTS) == len(keys)
        assert (sums == 1 + np.bincount(keys, WEIGHTS, minlength=256)).all()
        assert bincount(sums, keys, WEIGHTS[1:]) == -2
        assert bincount(counts[:100], np.array([1, 2, 100, 3], dtype)) == 2


@pytest.mark.slow  # compiles for each dtype
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_histogram(dtype):
    edges, values = np.linspace(0, 1, 11), VALUES.astype(dtype)
    prepared = Edges(edges)
    counts = np.ones(10, np.int64)
    assert histogram(counts, prepared.prepared, values) == len(values)
    assert (counts == 1 + np.histogram(values, edges)[0]).all()
    assert histogram(counts[1:], prepared.prepared, values) == -2
    if dtype == "float64":
        sums = np.ones(10)
        assert histogram(sums, prepared.prepared, values, WEIGHTS) == len(values)
        assert (sums == 1 + np.histogram(values, edges, weights=WEIGHTS)[0]).all()
        assert histogram(sums, prepared.prepared, values, WEIGHTS[1:]) == -2


@pytest.mark.slow  # compiles parallel loops
def test_in_parallel_loops():
    @numba.njit(parallel=True)
    def count(parts):
        tables = np.zeros((len(parts), 200), np.int64)
        for part in numba.prange(len(parts)):
            bincount(tables[part], parts[part])
        return tables

    assert (count(KEYS.reshape(4, -1)).sum(axis=0) == np.bincount(KEYS, minlength=200)).all()


def test_other_dtypes_are_refused():
    with pytest.raises(numba.TypingError, match="table must be a C-contiguous 1-D array of int64"):
        bincount(np.zeros(200), KEYS)


@pytest.mark.parametrize("edges", [[1], [2, 1], 1, [[0, 1], [1, 2]]])
def test_edges_that_do_not_ascend(edges):
    with pytest.raises(ValueError, match="ascend"):
        Edges(edges)


def test_edges_are_freed():
    edges = Edges([0, 1])
    seen = weakref.ref(edges)
    assert edges.prepared[1] == 1
    del edges
    gc.collect()
    assert seen() is None
