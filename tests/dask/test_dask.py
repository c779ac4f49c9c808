"""Dask arrays, against `dask.array`'s own functions."""

import os
import signal
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import parcount as pc
from tests import cluster, plain, remote
from tests.arrays.support import INTEGERS, LAYOUTS, Array, assert_same, layouts

with cluster.pickling_as_before():
    dask = pytest.importorskip("dask", reason="dask is not installed")
    da = pytest.importorskip("dask.array", reason="dask has no arrays here")

pytestmark = [
    pytest.mark.thread_unsafe(reason="dask's settings are those of all threads"),
    pytest.mark.usefixtures("here"),
]


@pytest.fixture(scope="module", autouse=True)
def apart() -> Iterator[None]:
    with cluster.pickling_as_before():
        yield


@pytest.fixture
def here() -> Iterator[None]:
    """Whatever is computed is computed by the calling thread; in as many steps as there can be."""
    with dask.config.set(scheduler="synchronous", split_every=2):
        yield


def assert_alike(ours: Any, das: Any, by: Callable[[Any, Any], None] = assert_same) -> None:
    """Of one kind, dtype, shape and chunks while it is lazy, and equal when it is not."""
    if isinstance(das, tuple | list):
        assert isinstance(ours, type(das))
        assert len(ours) == len(das)
        for one, other in zip(ours, das, strict=True):
            assert_alike(one, other, by)
        return
    assert type(ours) is type(das)
    if isinstance(das, da.Array):
        assert ours.dtype == das.dtype
        assert repr(ours.chunks) == repr(das.chunks)  # nan, where it is not known, equals nothing
        assert_same(da.utils.meta_from_array(ours), da.utils.meta_from_array(das))
        with np.errstate(invalid="ignore"):  # the density of no values is 0 / 0
            ours, das = dask.compute(ours, das)
    by(ours, das)


def assert_close(ours: Array, das: Array) -> None:
    assert ours.dtype == das.dtype
    np.testing.assert_allclose(ours, das, rtol=1e-5 if ours.dtype.itemsize == 4 else 1e-12, atol=1e-30)


def assert_equal_in_either_order(ours: Array, das: Array) -> None:
    """Of its bytes: dask's values are not always of the dtype that it has told."""
    assert_same(ours.astype(ours.dtype.newbyteorder("=")), das.astype(das.dtype.newbyteorder("=")))


def cut(array: Array, chunks: tuple[int, ...]) -> Any:
    """A dask array with these chunks along its first axis, each block as `array` lies in memory."""
    ends = np.cumsum((0, *chunks))
    pieces = [array[start:stop] for start, stop in pairwise(ends)]
    whole = [da.from_delayed(dask.delayed(piece, pure=False), piece.shape, meta=piece[:0]) for piece in pieces]
    return da.concatenate(whole, allow_unknown_chunksizes=True) if len(whole) > 1 else whole[0]


@st.composite
def some_chunks(draw: st.DrawFn) -> tuple[int, ...]:
    """The sizes of chunks, some of which may be empty."""
    return tuple(
        draw(st.lists(st.one_of(st.just(0), st.integers(1, 9), st.integers(100, 300)), min_size=1, max_size=9))
    )


def numbers(draw: st.DrawFn, size: int, dtype: str, most: int) -> Array:
    random = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    return LAYOUTS[draw(layouts)](random.integers(0, most, size, endpoint=True).astype(dtype))


WEIGHTS = ["int8", "uint16", "int64", "float32", "float64"]


@settings(max_examples=25)  # each makes and computes some graphs
@given(some_chunks(), st.data())
def test_bincount(chunks: tuple[int, ...], data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(INTEGERS))
    x = cut(numbers(data.draw, sum(chunks), dtype, data.draw(st.sampled_from([0, 3, 100]))), chunks)
    minlength = data.draw(st.sampled_from([0, 1, 50, 200]))
    split_every = data.draw(st.sampled_from([None, 2, 3, 100]))
    das = x.astype(np.int64) if dtype == "uint64" else x  # which NumPy, and so dask, does not count
    assert_alike(
        pc.bincount(x, minlength=minlength, split_every=split_every),
        da.bincount(das, minlength=minlength, split_every=split_every),
    )
    weights = cut(numbers(data.draw, sum(chunks), data.draw(st.sampled_from(WEIGHTS)), 100), chunks)
    assert_alike(pc.bincount(x, weights, minlength), da.bincount(das, weights, minlength))
    assert_alike(pc.bincount(x, weights=weights), da.bincount(das, weights=weights))


@settings(max_examples=25)  # each makes and computes some graphs
@given(some_chunks(), st.data())
def test_histogram(chunks: tuple[int, ...], data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from([*INTEGERS, "float32", "float64"]))
    values = numbers(data.draw, sum(chunks), dtype, 100)
    weights = numbers(data.draw, sum(chunks), data.draw(st.sampled_from([*WEIGHTS, "complex128"])), 100)
    a, w = cut(values, chunks), cut(weights, chunks)
    if data.draw(st.booleans()):  # several dimensions
        a, w = da.stack([a, a + a.dtype.type(1)], axis=1), da.stack([w, w], axis=1)
    how = data.draw(
        st.sampled_from(
            [
                {"bins": 7, "range": (0, 90)},
                {"bins": np.array([0, 1, 5, 50.5])},
                {"bins": [3, 7, 11]},
                {"bins": 3, "range": da.from_array(np.array([5, 60]))},
                {"bins": da.from_array(np.array([0.0, 20, 21, 90]))},
                {"bins": dask.delayed(4), "range": (a.min(), 100) if a.size else (0, 100)},
            ]
        )
    )
    assert_alike(pc.histogram(a, **how), da.histogram(a, **how))
    assert_alike(pc.histogram(a, **how, weights=w), da.histogram(a, **how, weights=w))
    if a.size and not isinstance(how["bins"], type(dask.delayed(4))):
        assert_alike(pc.histogram(a, **how, density=True), da.histogram(a, **how, density=True), assert_close)


@settings(max_examples=10)  # each makes and computes many graphs
@given(some_chunks(), st.data())
def test_histograms_of_several_axes(chunks: tuple[int, ...], data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(["int32", "uint8", "float32", "float64"]))
    x, y = (cut(numbers(data.draw, sum(chunks), dtype, 100), chunks) for _ in range(2))
    w = cut(numbers(data.draw, sum(chunks), data.draw(st.sampled_from(WEIGHTS)), 100), chunks)
    how = data.draw(
        st.sampled_from(
            [
                {"bins": 3, "range": ((0, 90), (10, 50))},
                {"bins": (3, 4), "range": ((0, 90), (10, 50))},
                {"bins": [np.array([0, 1, 50]), [5, 6.5, 8]]},
            ]
        )
    )
    for weights in (None, w):
        assert_alike(pc.histogram2d(x, y, **how, weights=weights), da.histogram2d(x, y, **how, weights=weights))
        both = da.stack([x, y], axis=1).rechunk({1: 2})
        assert_alike(pc.histogramdd(both, **how, weights=weights), da.histogramdd(both, **how, weights=weights))
        assert_alike(pc.histogramdd((x, y), **how, weights=weights), da.histogramdd((x, y), **how, weights=weights))
    dense = {**how, "bins": [np.array([-1, 50, 101]), [-1, 6.5, 101]], "density": True}
    if x.size:
        assert_alike(pc.histogram2d(x, y, **dense), da.histogram2d(x, y, **dense), assert_close)


@settings(max_examples=25)  # each makes and computes some graphs
@given(some_chunks(), st.data())
def test_unique_counts(chunks: tuple[int, ...], data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from([*INTEGERS, "bool", ">i8", "float32", "float64", "U3", "complex64"]))
    x = cut(numbers(data.draw, sum(chunks), dtype, 20), chunks)
    if x.size and data.draw(st.booleans()):
        x = da.stack([x, x[::-1].rechunk((chunks,))], axis=1)
    ours = pc.unique_counts(x)
    if x.ndim == 1 or 0 not in chunks:  # dask's own cannot ravel some arrays with empty chunks
        assert_alike(ours, da.unique(x, return_counts=True), assert_equal_in_either_order)
    assert_alike(pc.unique_counts(x, sorted=False), ours)
    whole, *ours_of_it = dask.compute(x, *ours)
    assert_same(ours_of_it, list(np.unique_counts(whole)))
    assert type(ours) is type(np.unique_counts([1]))


def test_each_nan_is_a_value_of_its_own_as_for_numpys_unique_counts() -> None:
    x = np.array([np.nan, 1, np.nan, 1, 2])
    assert_same(tuple(dask.compute(*pc.unique_counts(da.from_array(x, chunks=2)))), tuple(np.unique_counts(x)))


def test_unique_counts_have_no_axis() -> None:
    x = da.ones((2, 2), chunks=1)
    for function in (pc.unique_counts, pc.value_counts):
        with pytest.raises(TypeError, match=r"unique_counts\(\) does not take axis= with a dask array"):
            function(x, axis=0)
    assert pc.unique_counts(x, axis=None).counts.compute().tolist() == [4]


@pytest.mark.parametrize("keywords", [{"axis": None}, {"axis": 0}, {"maxlength": 2}])
def test_bincount_has_neither_axis_nor_maxlength(keywords: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=f"bincount\\(\\) does not take {next(iter(keywords))}="):
        pc.bincount(da.from_array(np.array([1, 5, 2, 9])), **keywords)


def test_more_keys_than_are_known_from_minlength() -> None:
    x = da.from_array(np.array([1, 5, 2, 9]), chunks=2)
    assert_same(pc.bincount(x, minlength=3).compute(), np.bincount([1, 5, 2, 9]))


@pytest.fixture
def never() -> Any:
    """A dask array whose blocks cannot be computed."""
    return da.map_blocks(plain.end_of_file, da.ones(10, dtype=int, chunks=5), dtype=int, meta=np.empty(0, int))


LAZY: dict[str, Callable[[Any], Any]] = {
    "bincount": lambda x: pc.bincount(x, x),
    "histogram": lambda x: pc.histogram(x, 3, (0, 1), weights=x, density=True)[0],
    "histogram2d": lambda x: pc.histogram2d(x, x, 3, ((0, 1), (0, 1)), True)[0],
    "histogramdd": lambda x: pc.histogramdd([x, x], 3, ((0, 1), (0, 1)))[0],
    "unique_counts": lambda x: pc.unique_counts(x).values,
}


@pytest.mark.parametrize("name", LAZY)
def test_nothing_is_computed_before_it_is_asked_for(never: Any, name: str) -> None:
    lazy = LAZY[name](never)
    assert isinstance(lazy, da.Array)
    with pytest.raises(EOFError, match="nothing left to read"):
        lazy.compute()


@pytest.mark.parametrize("name", LAZY)
def test_equal_calls_make_equal_graphs(name: str) -> None:
    x = da.arange(10, chunks=5)
    assert LAZY[name](x).name == LAZY[name](x).name != LAZY[name](x + 1).name


x = da.ones(10, dtype=int, chunks=5)

REFUSED: dict[str, Callable[[Any], Any]] = {
    "two dimensions": lambda m: m.bincount(x[:, None]),
    "other chunks": lambda m: m.bincount(x, x.rechunk(2)),
    "no chunks": lambda m: m.bincount(x, np.ones(10)),
    "no bins": lambda m: m.histogram(x),
    "no bins but a range": lambda m: m.histogram(x, range=(0, 1)),
    "no range": lambda m: m.histogram(x, 3),
    "a range of one": lambda m: m.histogram(x, 3, (0,)),
    "a range that is none": lambda m: m.histogram(x, 3, 1),
    "weights of other chunks": lambda m: m.histogram(x, 3, (0, 1), weights=x.rechunk(2)),
    "a density of who knows how many": lambda m: m.histogram(x, dask.delayed(3), (0, 1), density=True),
    "bins of two dimensions": lambda m: m.histogram(x, np.ones((2, 2))),
    "axes of other chunks": lambda m: m.histogram2d(x, x.rechunk(2), 3, ((0, 1), (0, 1))),
    "one range for two axes": lambda m: m.histogram2d(x, x, 3, ((0, 1),)),
    "three bins for two axes": lambda m: m.histogramdd((x, x), (1, 2, 3)),
    "lazy bins": lambda m: m.histogramdd((x, x), (x, x)),
    "one dimension": lambda m: m.histogramdd(x, 3),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_dask_refuses_is_refused_in_its_words(name: str) -> None:
    said = []
    for module in (pc, da):
        with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it is, it is the same
            REFUSED[name](module)
        said.append((type(caught.value), str(caught.value)))
    assert said[0] == said[1]


@pytest.mark.parametrize("keywords", [{"threads": 2}, {"on": pc.Serial()}, {"out": np.zeros(3, int)}])
def test_what_is_for_arrays_in_memory_is_refused(keywords: dict[str, Any]) -> None:
    (name,) = keywords
    calls = [lambda: pc.bincount(x, **keywords), lambda: pc.histogram(x, 3, (0, 1), **keywords)]
    if name != "out":
        calls.append(lambda: pc.histogram2d(x, x, 3, ((0, 1), (0, 1)), **keywords))
        calls.append(lambda: pc.histogramdd((x, x), 3, ((0, 1), (0, 1)), **keywords))
        calls.append(lambda: pc.unique_counts(x, **keywords))
    for call in calls:
        with pytest.raises(TypeError, match=f"{name}= is not supported for a dask array"):
            call()
        with pytest.raises(TypeError, match="unexpected keyword argument 'frobnicate'"):
            pc.bincount(x, frobnicate=3)
    assert_alike(pc.bincount(x, **dict.fromkeys(keywords)), da.bincount(x))


def test_blocks_that_are_no_ordinary_arrays_are_left_to_dask() -> None:
    masked = da.ma.masked_equal(da.arange(10, chunks=5), 3)
    assert pc.bincount(masked).name == da.bincount(masked).name
    assert pc.histogram(masked, 3, (0, 9))[0].name == da.histogram(masked, 3, (0, 9))[0].name


def test_numpys_arrays_beside_dasks_are_numpys() -> None:
    low, high = dask.compute(x.min(), x.max() + 1)
    a = np.random.default_rng(0).random(100_000)
    assert_same(pc.histogram(a, 10, (low, high)), np.histogram(a, 10, (low, high)))
    with pytest.raises(AttributeError):
        pc.bincount(np.ones(100_000, int), da.ones(100_000))  # as dask says


@pytest.mark.parametrize("threads", [None, 2])
def test_nothing_is_added_in_place(threads: int | None) -> None:
    a: Any = np.zeros(10)
    lazy: Any = da.arange(10, chunks=5)
    calls = [
        lambda: pc.increment(lazy, threads=threads),
        lambda: pc.increment(a, lazy, threads=threads),
        lambda: pc.add_at(lazy, [1], threads=threads),
        lambda: pc.add_at(a, lazy, threads=threads),
        lambda: pc.add_at(a, (lazy,), threads=threads),
        lambda: pc.add_at(a, np.arange(10), lazy, threads=threads),
    ]
    for call in calls:
        with pytest.raises(TypeError, match="a dask array cannot be changed in place"):
            call()
    assert not a.any()


def test_merging_changes_no_partial_counts() -> None:
    # A task that is done again gets what it got before.
    from parcount.dask import _summed, _united

    tables = [np.array([1, 2]), np.array([3, 4, 5]), np.array([6])]
    founds = [(np.array([1, 5]), np.array([2, 3])), (np.array([5]), np.array([4]))]
    for _ in range(2):
        assert _summed([tables[:2], [tables[2]]], dtype=np.int64).tolist() == [10, 6, 5]
        assert [part.tolist() for part in _united(founds)] == [[1, 5], [2, 7]]
    assert _summed(tables[0], dtype=np.int64) is not tables[0]


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with cluster.client() as client:
        yield client


@pytest.mark.xdist_group("dask cluster")  # which starts once
class TestCluster:
    """Two worker processes."""

    def test_counts_are_exact(self, client: Any) -> None:
        made = da.random.default_rng(0).integers(0, 1000, 400_000, chunks=50_000)
        ranges = ((0, 900), (0, 900))
        lazy = [
            made,
            pc.bincount(made),
            pc.bincount(made, made),
            pc.histogram(made, 9, (3, 500))[0],
            pc.histogram2d(made, made[::-1], (3, 4), ranges)[0],
            *pc.unique_counts(made * 1_000_003),
        ]
        x, counts, sums, hist, joint, *distinct = (future.result(remote.TIME_LIMIT) for future in client.compute(lazy))
        assert_same(counts, np.bincount(x))
        assert_same(sums, np.bincount(x, x))
        assert_same(hist, np.histogram(x, 9, (3, 500))[0])
        assert_same(joint, np.histogram2d(x, x[::-1], (3, 4), ranges)[0])
        assert_same(distinct, list(np.unique_counts(x * 1_000_003)))

    def test_a_task_counts_on_its_own_thread(self, client: Any) -> None:
        made = da.ones(4_000_000, dtype=int, chunks=2_000_000)
        assert client.compute(pc.bincount(made)).result(remote.TIME_LIMIT).tolist() == [0, 4_000_000]
        names = [name for names in client.run(remote.thread_names).values() for name in names]
        assert names
        assert not [name for name in names if name.startswith("parcount")]

    @pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL")
    @pytest.mark.parametrize("name", ["bincount", pytest.param("unique_counts", marks=pytest.mark.slow)])
    def test_a_killed_worker_costs_no_count(self, client: Any, tmp_path: Path, name: str) -> None:
        blocks, size = 8, 1000
        made = da.map_blocks(
            remote.MadeBlock(tmp_path, size, wait_from=blocks // 2),
            chunks=((size,) * blocks,),
            dtype=np.int64,
            meta=np.empty(0, np.int64),
        )
        lazy = pc.bincount(made) if name == "bincount" else pc.unique_counts(made).counts
        result = client.compute(lazy)
        waiting = tmp_path.glob
        remote.until(lambda: len({*waiting("waits-*")}) == cluster.WORKERS, "the workers did not come so far")
        victim = int(next(waiting("waits-*")).name.removeprefix("waits-"))
        before = len([*waiting("made-*")])
        os.kill(victim, signal.SIGKILL)
        remote.until(lambda: not remote.is_alive(victim), "the victim lives")
        (tmp_path / "go").touch()
        expected = np.concatenate([remote.block_of_keys(block, size) for block in range(blocks)])
        counts = np.bincount(expected) if name == "bincount" else np.unique_counts(expected).counts
        assert_same(result.result(remote.TIME_LIMIT), counts)
        assert before < blocks < len([*waiting("made-*")])  # some were made twice
