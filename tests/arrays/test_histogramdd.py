"""`histogramdd` and `histogram2d`, against NumPy's."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import parcount as pc
from tests.arrays.support import LAYOUTS, Array, assert_same, layouts, measures_memory, outcome, warns_as_numpy_does
from tests.arrays.test_histogram import SPECIAL, some_values
from tests.pairwise import pairwise

pytestmark = pytest.mark.usefixtures("finest_grain")

threads = st.integers(1, 4)
edges = st.lists(st.floats(-3, 3, width=32), min_size=2, max_size=12).map(sorted)
axis_bins = st.one_of(st.integers(1, 40), edges)
axis_range = st.one_of(st.none(), st.sampled_from([(0, 1), (-2.5, 2), (0.1, 0.7)]))


@warns_as_numpy_does
@given(some_values(), st.lists(axis_bins, min_size=1, max_size=3), st.data(), st.booleans(), threads)
def test_columns_equal_numpys(a: Array, bins: list[Any], data: st.DataObject, density: bool, threads: int) -> None:
    columns = [np.roll(a, shift) for shift in range(len(bins))]
    between = data.draw(st.one_of(st.none(), st.tuples(*[axis_range] * len(bins))))
    expected = outcome(np.histogramdd, columns, bins, between, density)
    assert_same(outcome(pc.histogramdd, columns, bins, between, density, threads=threads), expected)


@warns_as_numpy_does
@given(st.integers(0, 3), st.integers(0, 2000), st.sampled_from(["float32", "float64", "int16"]), st.data(), threads)
def test_rows_equal_numpys(axes: int, size: int, dtype: str, data: st.DataObject, threads: int) -> None:
    rows = np.random.default_rng(size).normal(scale=3, size=(size, axes)).astype(dtype)
    rows = data.draw(st.sampled_from([rows, rows[::-1], np.asfortranarray(rows), np.repeat(rows, 2, 0)[::2]]))
    expected = outcome(np.histogramdd, rows, 5)
    assert_same(outcome(pc.histogramdd, rows, 5, threads=threads), expected)


@warns_as_numpy_does
@given(some_values(), some_values(), st.one_of(axis_bins, st.tuples(axis_bins, axis_bins)), threads)
def test_points_equal_numpys(x: Array, y: Array, bins: Any, threads: int) -> None:
    size = min(len(x), len(y))
    expected = outcome(np.histogram2d, x[:size], y[:size], bins)
    assert_same(outcome(pc.histogram2d, x[:size], y[:size], bins, threads=threads), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bins", [7, 33, [0, 0, 0.5, 1, 1], [-np.inf, 0, np.inf], [0, 5e-324, 1]], ids=str)
def test_values_on_and_beside_the_edges(dtype: str, bins: Any) -> None:
    at = np.asarray(bins if isinstance(bins, list) else np.linspace(0, 1, bins + 1), dtype)
    up, down = (np.nextafter(at, at.dtype.type(side)) for side in (np.inf, -np.inf))
    with np.errstate(over="ignore"):
        x = np.concatenate([at, up, down, SPECIAL]).astype(dtype)
    y = np.random.default_rng(0).permutation(x)
    between = [(0, 1), (0, 1)]
    assert_same(pc.histogram2d(x, y, bins, between, threads=2), np.histogram2d(x, y, bins, between))


@warns_as_numpy_does
@given(
    some_values(), st.sampled_from(["int8", "uint64", "float32", "float64", "bool", "complex128"]), st.data(), threads
)
def test_weights(a: Array, dtype: str, data: st.DataObject, threads: int) -> None:
    weights = LAYOUTS[data.draw(layouts)](np.random.default_rng(0).integers(0, 50, len(a)).astype(dtype))
    columns, between = [a, a[::-1]], [(-2, 2), (-1, 3)]
    expected = outcome(np.histogramdd, columns, 4, between, weights=weights)
    assert_same(outcome(pc.histogramdd, columns, 4, between, weights=weights, threads=threads), expected)


ODD = {
    "2 columns": [[1, 2, 3], [1.0, 2, 3]],
    "tuple": ([1, 2, 3], [4, 5, 6]),
    "one column": [1, 2, 3],
    "vector": np.arange(3.0),
    "3-d": np.zeros((2, 2, 2)),
    "empty": np.zeros((0, 2)),
    "no axes": np.zeros((3, 0)),
    "nothing": [],
    "ragged": [[1, 2], [1]],
    "nan": [[1, np.nan], [1, 2]],
    "integers and floats": [np.arange(3), np.arange(3.0)],
    "huge integers": [np.array([(1 << 62) + 1, 0]), np.array([1, 2])],
    "strings": [["a"], ["b"]],
    "none": None,
}


@warns_as_numpy_does
@pytest.mark.parametrize(
    ("name", "bins", "between"),
    pairwise(
        list(ODD),
        [4, (2, 3), (2,), 0, (2, -1), 2.5, [[0, 1, 2], [2, 1]], [[0, 1], 3], "auto"],
        [None, [(0, 3), None], [(3, 0), None], [(0, 3)]],
    ),
    ids=str,
)
def test_whatever_numpy_says_of_odd_input(name: str, bins: Any, between: Any) -> None:
    expected = outcome(np.histogramdd, ODD[name], bins, between)
    assert_same(outcome(pc.histogramdd, ODD[name], bins, between, threads=2), expected)
    assert_same(outcome(pc.histogramdd, ODD[name], bins, between), expected)


@warns_as_numpy_does
@pytest.mark.parametrize(
    "bins", [3, [3], [2, 3], [0, 1, 2], [[0, 1], [0, 1, 2]], np.int8(2), np.array(4), [], 2.5], ids=str
)
@pytest.mark.parametrize("y", [[1, 2, 1], [1, 2], 5], ids=str)
def test_whatever_numpy_says_of_odd_points(bins: Any, y: Any) -> None:
    expected = outcome(np.histogram2d, [0, 1, 2], y, bins)
    assert_same(outcome(pc.histogram2d, [0, 1, 2], y, bins, threads=2), expected)


@pytest.mark.parametrize("on", [pc.Serial(), pc.Threads(3), pc.Processes(2)], ids=lambda on: on.name)
def test_executions_do_not_show(on: pc.Execution) -> None:
    x, y = np.random.default_rng(2).normal(size=(2, 50_000))
    assert_same(pc.histogram2d(x, y, 20, on=on), np.histogram2d(x, y, 20))


@measures_memory
@pytest.mark.parametrize("workers", [1, 3])
def test_memory_is_tables_and_nothing_else(workers: int) -> None:
    x, y = np.random.default_rng(0).random((2, 1 << 20))
    pc.histogram2d(x, y, 100, threads=workers)
    tracemalloc.start()
    try:
        pc.histogram2d(x, y, 100, threads=workers)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most <= (workers + 3) * 8 * 102 * 102 + workers * 60_000 + 100_000


@warns_as_numpy_does
@pytest.mark.parametrize("size", [5, 20_000])
@pytest.mark.parametrize("dtype", ["M8[ns]", "M8[D]", "m8[s]"])
@pytest.mark.parametrize("bins", [10, [np.arange(4), np.arange(4)], "edges"], ids=str)
def test_times_are_numpys(size: int, dtype: str, bins: Any) -> None:
    times, numbers = np.arange(size).astype(dtype), np.arange(size)
    if bins == "edges":
        bins = [times[:4], times[:4]]
    for x, y in [(times, times), (times, numbers), (numbers, times)]:
        assert_same(outcome(pc.histogram2d, x, y, bins), outcome(np.histogram2d, x, y, bins))
        assert_same(outcome(pc.histogramdd, (x, y), bins), outcome(np.histogramdd, (x, y), bins))
        assert_same(outcome(pc.histogramdd, (x, y), bins, threads=2), outcome(np.histogramdd, (x, y), bins))
    rows = np.stack([times, times], axis=1)
    assert_same(outcome(pc.histogramdd, rows, bins), outcome(np.histogramdd, rows, bins))
