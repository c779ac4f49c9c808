"""`Bincount` and `Histogram`, against NumPy's functions of all chunks joined."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import parcount as pc
from tests.arrays.support import INTEGERS, LAYOUTS, Array, layouts

pytestmark = pytest.mark.usefixtures("finest_grain")

TIME_LIMIT = 60

threads = st.one_of(st.none(), st.integers(1, 3))


@st.composite
def chunks(draw: st.DrawFn, dtypes: list[str], most: int) -> list[Array]:
    random = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    found = []
    for size in draw(st.lists(st.integers(0, 3000), min_size=1, max_size=4)):
        dtype = draw(st.sampled_from(dtypes))
        data = (random.random(size) * min(most, 127 if dtype in ("int8", "uint8") else most)).astype(dtype)
        found.append(LAYOUTS[draw(layouts)](data))
    return found


@given(chunks([*INTEGERS, "bool"], 5000), st.sampled_from([None, 5000, 70_000]), threads)
def test_bincount_counts_all_chunks(pieces: list[Array], n: int | None, threads: int | None) -> None:
    counts = pc.Bincount(n)
    for piece in pieces:
        assert counts.update(piece, threads=threads) is counts
    keys = np.concatenate([piece.astype(np.int64) for piece in pieces])
    expected = np.bincount(keys, minlength=n or 0)
    assert counts.counts.dtype == np.int64
    assert np.array_equal(counts.counts, expected)
    assert counts.total == len(keys)


@given(chunks(["int16", "uint32", "int64"], 5000), st.sampled_from([None, 5, 5000, 70_000]), st.booleans(), threads)
def test_bincount_adds_weights(pieces: list[Array], n: int | None, given: bool, threads: int | None) -> None:
    counts = pc.Bincount(n, dtype=float)
    keys = np.concatenate([piece.astype(np.int64) % (n or 9999) for piece in pieces])
    done = 0
    for piece in pieces:
        part = slice(done, done := done + len(piece))
        counts.update(keys[part], np.arange(done)[part] if given else None, threads=threads)
    expected = np.bincount(keys, np.arange(len(keys)) if given else None, n or 0)
    assert counts.counts.dtype == np.float64
    assert np.array_equal(counts.counts, expected)


@given(
    chunks(["float64", "float32", ">f8", "float16", "int64", "uint8"], 100),
    st.sampled_from([((10,), (0, 100)), ([0.0, 1.0, 3.0, 3.0, 99.5], None), ((7,), (-50, 50))]),
    st.booleans(),
    threads,
)
def test_histogram_counts_all_chunks(pieces: list[Array], bins: Any, weighted: bool, threads: int | None) -> None:
    edges, limits = bins
    counts = pc.Histogram(edges[0] if limits else edges, limits, dtype=float if weighted else int)
    expected = np.zeros(len(counts.edges) - 1, counts.dtype)
    for piece in pieces:
        weights = np.arange(len(piece)) if weighted else None
        assert counts.update(piece, weights, threads=threads) is counts
        expected += np.histogram(piece, counts.edges, weights=weights)[0]
    assert counts.counts.dtype == counts.dtype == expected.dtype
    assert np.array_equal(counts.counts, expected)
    assert counts.total == expected.sum()


def test_edges_are_numpys() -> None:
    for bins, limits in ((10, (0, 1)), ([1, 2, 5], None), (3, (2, 2))):
        edges = pc.Histogram(bins, limits).edges
        assert np.array_equal(edges, np.histogram_bin_edges([], bins, limits))  # type: ignore[arg-type]
        assert edges.dtype == np.histogram_bin_edges([], bins, limits).dtype  # type: ignore[arg-type]
        assert not edges.flags.writeable


def test_nan_and_values_out_of_range_are_not_counted() -> None:
    assert pc.Histogram(2, (0, 1)).update([np.nan, -1, 0.5, 1, 1.1, np.inf]).counts.tolist() == [0, 2]


def test_integers_beyond_53_bits_are_compared_exactly() -> None:
    edges = np.array([0, 1 << 53, (1 << 53) + 1, 1 << 60])
    values = np.array([(1 << 53) - 1, 1 << 53, (1 << 53) + 1])
    assert np.array_equal(pc.Histogram(edges).update(values).counts, np.histogram(values, edges)[0])


MAKE: dict[str, Any] = {
    "Bincount": lambda **keywords: pc.Bincount(100, **keywords),
    "growing Bincount": pc.Bincount,
    "Histogram": lambda **keywords: pc.Histogram(100, (0, 100), **keywords),
}

make = pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)


@make
@pytest.mark.parametrize("dtype", [int, float])
def test_merging(make: Any, dtype: type) -> None:
    low, high = make(dtype=dtype).update([1, 2, 2]), make(dtype=dtype).update(np.arange(100))
    both = low + high
    assert both.counts.tolist() == make(dtype=dtype).update([1, 2, 2]).update(np.arange(100)).counts.tolist()
    assert (low.total, high.total, both.total) == (3, 100, 103)
    assert high + low == both == sum([low, high]) != low
    again = low
    again += high
    assert again is low == both
    assert low.merge(low) is low
    assert low.total == 206
    for twin in (low.copy(), copy.copy(low), copy.deepcopy(low), pickle.loads(pickle.dumps(low))):
        assert twin == low
        assert twin.dtype == low.dtype
        assert twin.update([5]) != low
    assert (low == 1) is False
    with pytest.raises(TypeError, match="unhashable"):
        hash(low)


def test_what_cannot_be_merged() -> None:
    for one, other, error in (
        (pc.Bincount(3), pc.Bincount(4), ValueError),
        (pc.Bincount(3), pc.Bincount(), ValueError),
        (pc.Bincount(3), pc.Bincount(3, dtype=float), TypeError),
        (pc.Bincount(3), pc.Histogram([0, 1, 2, 3]), TypeError),
        (pc.Histogram(3, (0, 1)), pc.Histogram(3, (0, 2)), ValueError),
        (pc.Bincount(3), 1, TypeError),
    ):
        assert one != other
        with pytest.raises(error):
            one += other


@pytest.mark.parametrize("bad", [-1, 5000, 1 << 40])
@pytest.mark.parametrize(("n", "dtype"), [(5000, int), (5000, float), (100_000, float), (None, int), (None, float)])
def test_an_update_that_fails_adds_nothing(bad: int, n: int | None, dtype: type) -> None:
    counts = pc.Bincount(n, dtype=dtype).update([0, 0, 7])
    before = counts.copy()
    keys = np.arange(40_000) % 5000
    keys[39_990] = bad if n != 100_000 else 1 << 40
    if n is None and bad == 5000:
        return
    for threads in (1, 2):
        with pytest.raises((ValueError, MemoryError)):
            counts.update(keys, threads=threads)
        assert counts == before


def test_wrong_arguments() -> None:
    for call, error in (
        (lambda: pc.Bincount(-1), ValueError),
        (lambda: pc.Bincount(1.5), TypeError),  # type: ignore[arg-type]
        (lambda: pc.Bincount(3, dtype="f4"), TypeError),
        (lambda: pc.Bincount(3).update([0.5]), TypeError),
        (lambda: pc.Bincount(3).update([0], [1.0]), TypeError),
        (lambda: pc.Bincount(3, dtype=float).update([0], [1.0, 2.0]), ValueError),
        (lambda: pc.Bincount(3, dtype=float).update([0], [1j]), TypeError),
        (lambda: pc.Bincount(3).update([0], threads=0), ValueError),
        (lambda: pc.Histogram("auto"), TypeError),
        (lambda: pc.Histogram(10), TypeError),
        (lambda: pc.Histogram(0, (0, 1)), ValueError),
        (lambda: pc.Histogram([1]), ValueError),
        (lambda: pc.Histogram([2, 1]), ValueError),
        (lambda: pc.Histogram([0, np.nan]), ValueError),
        (lambda: pc.Histogram(2, (0, np.inf)), ValueError),
    ):
        with pytest.raises(error):
            call()


def test_reprs() -> None:
    assert repr(pc.Bincount(4).update([1, 3])) == "<Bincount of 4 bins, total 2>"
    assert repr(pc.Bincount(dtype=float).update([1], 0.5)) == "<Bincount of 2 bins, total 0.5>"
    assert repr(pc.Histogram(4, (0, 1))) == "<Histogram of 4 bins from 0.0 to 1.0, total 0>"


@make
@pytest.mark.parametrize("threads", [1, 2])
def test_eight_threads_lose_nothing(make: Any, threads: int) -> None:
    counts, start = make(), Barrier(8)
    chunk = np.random.default_rng(0).integers(0, 100, 20_000)

    def feed() -> None:
        start.wait(TIME_LIMIT)
        for _ in range(5):
            counts.update(chunk, threads=threads)
            counts.merge(make().update([3]))

    with ThreadPoolExecutor(8) as pool:
        for fed in [pool.submit(feed) for _ in range(8)]:
            fed.result(TIME_LIMIT)
    expected = make().update(chunk).counts * 40
    expected[3] += 40
    assert np.array_equal(counts.counts, expected)


def count_in_worker(seed: int) -> pc.Bincount:
    return pc.Bincount(100).update(np.random.default_rng(seed).integers(0, 100, 1000))


def test_workers_accumulators_come_back_and_merge() -> None:
    with pc.Processes(2) as workers:
        merged = sum(workers.map(count_in_worker, range(4)))
    assert merged == sum(map(count_in_worker, range(4)))
