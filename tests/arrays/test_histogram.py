"""`histogram`, against `numpy.histogram`."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import parcount as pc
from parcount.kernels import blocks
from tests.arrays.support import (
    INTEGERS,
    LAYOUTS,
    Array,
    assert_same,
    layouts,
    measures_memory,
    outcome,
    warns_as_numpy_does,
)
from tests.pairwise import pairwise

pytestmark = pytest.mark.usefixtures("finest_grain")

DTYPES = [*INTEGERS, "float32", "float64", "float16", "longdouble"]

threads = st.integers(1, 4)
sizes = st.one_of(st.integers(0, 30), st.integers(500, 3000))

SPECIAL = [0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324, -1e-310, 1.0, 0.1, -2.5, 1e300]


@st.composite
def some_values(draw: st.DrawFn) -> Array:
    random = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    dtype = draw(st.sampled_from(DTYPES))
    size = draw(sizes)
    kind = draw(st.sampled_from(["uniform", "normal", "rounded", "far", "constant"]))
    if np.dtype(dtype).kind in "iu":
        limits = np.iinfo(dtype)
        made = random.integers(max(limits.min, -1000), min(limits.max, 1000), size).astype(dtype)
    else:
        made = {
            "uniform": lambda: random.random(size),
            "normal": lambda: random.normal(size=size),
            "rounded": lambda: random.integers(0, 101, size) / 100,
            "far": lambda: 1000 + random.random(size),
            "constant": lambda: np.full(size, 0.3),
        }[kind]().astype(dtype)
    return LAYOUTS[draw(layouts)](made)


ranges = st.one_of(
    st.none(),
    st.sampled_from(
        [(0, 1), (0.0, 1.0), (-3.5, 2), (0.1, 0.7), (1000, 1001), (5, 5), (np.float64(0.1), np.float32(1))]
    ),
)
edges = st.lists(st.floats(-5, 5, width=32), min_size=2, max_size=40).map(sorted)


@warns_as_numpy_does
@given(some_values(), st.one_of(st.integers(1, 300), edges), ranges, st.booleans(), threads)
def test_equals_numpys(a: Array, bins: Any, between: Any, density: bool, threads: int) -> None:
    expected = outcome(np.histogram, a, bins, between, density)
    assert_same(outcome(pc.histogram, a, bins, between, density, threads=threads), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(st.data())
def test_values_on_and_beside_the_edges(dtype: str, data: st.DataObject) -> None:
    low = data.draw(st.sampled_from([0, 1, -1e6, 1e15, 1 / 3, -5e-324, 1e-300]))
    width = data.draw(st.sampled_from([1, 100, 1e-3, 1e-310, 1e300, 7.7]))
    bins = data.draw(st.integers(1, 70))
    try:
        at = np.histogram_bin_edges(np.zeros(0, dtype), bins, (low, low + width))
    except (ValueError, RuntimeWarning):
        return  # no such bins
    with np.errstate(over="ignore"):
        a = np.concatenate(
            [at, np.nextafter(at, at.dtype.type(np.inf)), np.nextafter(at, at.dtype.type(-np.inf)), SPECIAL]
        )
        a = np.tile(a.astype(dtype), 5)
        expected = outcome(np.histogram, a, bins, (low, low + width))
    assert_same(pc.histogram(a, bins, (low, low + width), threads=2), expected)
    explicit = np.histogram(a[~np.isnan(a)], at)
    assert_same(pc.histogram(a, at, threads=2), explicit)


EDGES = {
    "growing": np.logspace(-8, 3, 60),
    "both signs": np.concatenate([-np.logspace(3, -8, 30), np.logspace(-8, 3, 30)]),
    "equal": np.array([0.0, 0, 0.5, 0.5, 0.5, 1, 1]),
    "all equal": np.array([0.5, 0.5, 0.5]),
    "infinite": np.array([-np.inf, 0, np.inf]),
    "one end infinite": np.array([0, 1, np.inf]),
    "whole range": np.array([-1.7e308, 0, 1.7e308]),
    "next to each other": np.nextafter(0.5, [0, 1, 1]) + np.array([0, 0, 1e-16]),
    "subnormal": np.array([0, 5e-324, 1e-323, 1e-310]),
    "zeros": np.array([-0.0, 0.0, 1]),
    "clustered": np.concatenate([np.linspace(0, 1e-9, 500), [1, 2, 1e9]]),
    "integers": np.array([0, 1, 5]),
    "bytes": np.array([0, 1, 5], np.uint8),
}


@pytest.mark.parametrize("name", EDGES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int8"])
def test_edges_of_all_kinds(name: str, dtype: str) -> None:
    at = EDGES[name]
    finite = at[np.isfinite(at)].astype(float)
    random = np.random.default_rng(0)
    with np.errstate(all="ignore"):
        a = np.concatenate([finite, np.nextafter(finite, np.inf), np.nextafter(finite, -np.inf), SPECIAL,
                            random.normal(size=2000), 10 ** random.uniform(-9, 4, 2000)])  # fmt: skip
        a = a[np.isfinite(a)].astype(dtype) if dtype.startswith("int") else a.astype(dtype)
    kept = a[~np.isnan(a)]  # NumPy warns of NaN here and there, and counts none
    assert_same(pc.histogram(a, at, threads=2)[0], np.histogram(kept, at)[0])


@given(some_values(), st.one_of(st.integers(1, 50), edges), st.data(), threads)
def test_weights(a: Array, bins: Any, data: st.DataObject, threads: int) -> None:
    dtype = data.draw(
        st.sampled_from(["int8", "uint32", "int64", "float32", "float64", ">f8", "complex128", "complex64"])
    )
    weights = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, 50, len(a)).astype(dtype)
    weights = LAYOUTS[data.draw(layouts)](weights)
    expected = outcome(np.histogram, a, bins, (-2, 2), weights=weights)
    assert_same(outcome(pc.histogram, a, bins, (-2, 2), weights=weights, threads=threads), expected)


def test_sums_of_floats_are_close_and_repeatable() -> None:
    random = np.random.default_rng(0)
    a, weights = random.normal(size=50_000), random.normal(size=50_000)
    for bins in (40, np.sort(random.normal(size=40))):
        ours = pc.histogram(a, bins, weights=weights, threads=3)[0]
        np.testing.assert_allclose(ours, np.histogram(a, bins, weights=weights)[0], rtol=1e-9, atol=1e-9)
        assert np.array_equal(ours, pc.histogram(a, bins, weights=weights, threads=3)[0])


@pytest.mark.parametrize("rule", ["auto", "fd", "doane", "scott", "stone", "rice", "sturges", "sqrt", "nonsense"])
@pytest.mark.parametrize("between", [None, (-1, 1)])
def test_rules_for_the_number_of_bins(rule: str, between: Any) -> None:
    for a in (np.random.default_rng(0).normal(size=3000), np.random.default_rng(0).integers(0, 90, 3000)):
        assert_same(outcome(pc.histogram, a, rule, between, threads=2), outcome(np.histogram, a, rule, between))


ODD = {
    "list": [1, 2, 1],
    "empty": [],
    "scalar": 3.5,
    "2-d": np.arange(12.0).reshape(3, 4),
    "fortran": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "2-d strided": np.arange(24.0).reshape(4, 6)[::2, ::3],
    "bools": np.array([True, False, True]),
    "nan": [1.0, np.nan],
    "infinite": [1.0, np.inf],
    "strings": ["a"],
    "complex": [1j],
    "objects": np.array([1, 2.5], object),
    "dates": np.array(["2001-01-01", "2002-01-01"], "M8[D]"),
    "huge integers": np.array([(1 << 62) + 1, (1 << 62) + 2, 0]),
    "none": None,
}


@warns_as_numpy_does
@pytest.mark.parametrize(
    ("name", "bins", "between"),
    pairwise(
        list(ODD),
        [10, 0, -1, 2.5, [0, 1, 2], [2, 1], [1], [], [[0, 1]], [0, np.nan, 2], [0j, 1j], "auto", None, np.int8(3)],
        [None, (0, 3), (3, 0), (0, np.inf), (0,)],
    ),
    ids=str,
)
def test_whatever_numpy_says_of_odd_input(name: str, bins: Any, between: Any) -> None:
    expected = outcome(np.histogram, ODD[name], bins, between)
    assert_same(outcome(pc.histogram, ODD[name], bins, between, threads=2), expected)
    assert_same(outcome(pc.histogram, ODD[name], bins, between), expected)


def test_as_many_bins_as_the_dtype_barely_tells_apart() -> None:
    a = np.random.default_rng(0).random(5000).astype(np.float32)
    for bins in (1000, 65_000, 70_000, 1 << 20):
        assert_same(outcome(pc.histogram, a, bins, (0, 1), threads=2), outcome(np.histogram, a, bins, (0, 1)))


@pytest.mark.parametrize("on", [pc.Serial(), pc.Threads(3), pc.Processes(2)], ids=lambda on: on.name)
def test_executions_do_not_show(on: pc.Execution) -> None:
    a = np.random.default_rng(2).normal(size=100_000)
    assert_same(pc.histogram(a, 50, on=on), np.histogram(a, 50))
    assert_same(pc.histogram(a, 50, weights=np.ones(100_000), on=on), np.histogram(a, 50, weights=np.ones(100_000)))


class TestOut:
    def test_adds_to_what_there_is(self) -> None:
        a = np.random.default_rng(0).random(10_000)
        out = np.ones(10, np.int32)
        counts, edges = pc.histogram(a, 10, (0, 1), out=out, threads=2)
        assert counts is out
        expected = np.histogram(a, 10, (0, 1))
        assert np.array_equal(out, expected[0] + 1)
        assert_same(edges, expected[1])

    def test_weights(self) -> None:
        out = np.ones(2)
        pc.histogram([0.2, 0.7], [0, 0.5, 1], weights=[1.5, 2.5], out=out)
        assert out.tolist() == [2.5, 3.5]

    def test_a_cell_past_its_limit_leaves_all_as_they_were(self) -> None:
        out = np.array([3, 120], np.int8)
        with pytest.raises(OverflowError):
            pc.histogram([0.7] * 8 + [0.2], 2, (0, 1), out=out)
        assert out.tolist() == [3, 120]

    @pytest.mark.parametrize(
        ("out", "error"),
        [
            ([0, 0], TypeError),
            (np.zeros(3, int), ValueError),
            (np.zeros(2), TypeError),
            (np.zeros((2, 1), int), ValueError),
        ],
        ids=["list", "another length", "floats", "2-d"],
    )
    def test_that_does_not_suit(self, out: Any, error: type[Exception]) -> None:
        with pytest.raises(error):
            pc.histogram([0.5], 2, (0, 1), out=out)

    def test_and_density(self) -> None:
        with pytest.raises(ValueError, match="density"):
            pc.histogram([0.5], 2, (0, 1), density=True, out=np.zeros(2, int))


@measures_memory
class TestMemory:
    def most(self, a: Array, *args: Any, **keywords: Any) -> int:
        pc.histogram(a, *args, **keywords)
        tracemalloc.start()
        try:
            pc.histogram(a, *args, **keywords)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    @pytest.mark.parametrize("bins", [10, 1000, 100_000])
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("workers", [1, 3])
    def test_tables_and_nothing_else(self, bins: int, dtype: str, workers: int) -> None:
        a = np.random.default_rng(0).random(1 << 21).astype(dtype)
        most = workers * (104 * bins + 40_000) + 40 * bins + 100_000
        assert self.most(a, bins, None if bins < 5000 else (0, 1), threads=workers) <= most

    def test_of_a_file_no_copy(self, tmp_path: Path) -> None:
        np.random.default_rng(0).random(1 << 21).tofile(tmp_path / "values")
        assert self.most(np.memmap(tmp_path / "values", np.float64, "r"), 100, threads=2) < 400_000

    def test_what_must_be_converted_is_so_in_blocks(self) -> None:
        a = np.zeros(1 << 22, np.int16)
        assert self.most(a, 10, (0, 1), threads=1) <= 2 * 8 * blocks.BLOCK + 200_000

    @pytest.mark.parametrize("weights", [None, "f8", "c16"])
    def test_an_array_with_gaps_is_converted_in_blocks_too(self, weights: str | None) -> None:
        a = np.random.default_rng(0).random((1 << 12, 1 << 11))[:, ::2]
        w = None if weights is None else np.ones(a.shape[::-1], weights).T
        assert self.most(a, 10, (0, 1), weights=w, threads=1) <= 2 * 3 * 8 * blocks.BLOCK + 400_000
        assert_same(pc.histogram(a, 10, (0, 1), weights=w, threads=3), np.histogram(a, 10, (0, 1), weights=w))


def test_weights_of_two_dimensions_with_a_rule_are_refused_as_numpy_refuses_them() -> None:
    a: Any = np.ones((30, 40))
    for values, weights in [(a, a), (a.T, a.T), (a, a[0])]:
        for keywords in ({}, {"threads": 2}):
            expected = outcome(np.histogram, values, "auto", weights=weights)
            assert isinstance(expected, type)
            assert outcome(pc.histogram, values, "auto", weights=weights, **keywords) is expected


@pytest.mark.parametrize("dtype", ["uint8", "uint64", "int8"])
def test_a_count_that_is_negative_is_no_reason_to_wrap(dtype: str) -> None:
    edges: Any = [0.0, np.nan, 2.0]
    counts = np.histogram([1.0, 3.0], edges)[0]
    assert counts.min() < 0, "NumPy counts otherwise than it did"
    for start in (5, 0):
        out = np.full(2, start, dtype)
        if start == 0 and dtype != "int8":
            with pytest.raises(OverflowError, match="nothing was added"):
                pc.histogram([1.0, 3.0], edges, out=out)
            assert not out.any()
        else:
            pc.histogram([1.0, 3.0], edges, out=out)
            assert out.tolist() == (start + counts).tolist()
