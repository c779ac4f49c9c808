"""The workload `histogram`, against `numpy.histogram`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from parcount._native import histogram as native
from parcount.kernels import WORKLOADS
from parcount.kernels.histogram import histogram_job
from tests.conftest import INSTALLED
from tests.kernels.support import Guarded, counted, kernel

Loop = Callable[..., None]


@dataclass
class Values:
    """Values in, around, and far from a number of uniform bins."""

    bins: int
    low: float
    high: float
    size: int
    seed: int

    @property
    def array(self) -> NDArray[np.float64]:
        random = np.random.default_rng(self.seed)
        edges = np.linspace(self.low, self.high, self.bins + 1)
        width = self.high - self.low
        special = [np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, np.finfo(float).max, np.finfo(float).min]
        values = np.concatenate(
            [
                special,
                edges,
                np.nextafter(edges, -np.inf),
                np.nextafter(edges, np.inf),
                (edges[:-1] + edges[1:]) / 2,
                self.low + width * random.random(self.size),
                self.low + width * random.uniform(-0.5, 1.5, self.size),
            ]
        )
        random.shuffle(values)
        return values


@st.composite
def values(draw: st.DrawFn) -> Values:
    """Bins of more than a few representable numbers each: with fewer, NumPy 2 refuses to make any."""
    bins = draw(st.integers(1, 300))
    low, high = sorted(draw(st.lists(st.floats(-1e300, 1e300), min_size=2, max_size=2)))
    assume((high - low) / bins > 8 * max(np.spacing(abs(low)), np.spacing(abs(high))))
    assume(np.isfinite(bins / (high - low)))
    return Values(bins, low, high, draw(st.integers(0, 300)), draw(st.integers(0, 1 << 32)))


@given(values(), st.integers(1, 5))
@example(Values(10, 0.0, 1.0, 1000, 0), 1)  # where a plain (x - low) * scale is wrong at the edges
@example(Values(100, 0.0, 1.0, 1000, 0), 2)
@example(Values(7, -0.3, 0.7, 1000, 0), 1)
@example(Values(1, -1e300, 1e300, 10, 0), 1)
def test_any_split_is_numpys(variant: str, made: Values, parts: int) -> None:
    job = histogram_job(made.array, np.linspace(made.low, made.high, made.bins + 1))
    counts = counted(kernel("histogram", variant), job, parts)
    expected, edges = np.histogram(made.array, made.bins, (made.low, made.high))
    assert np.array_equal(job.settings[0], edges)
    assert np.array_equal(counts, expected)
    assert counts.dtype == np.int64
    assert np.array_equal(job.exact(), expected)


@given(st.lists(st.floats(width=64), max_size=50), st.integers(1, 50))
def test_any_floats_at_all(variant: str, numbers: list[float], bins: int) -> None:
    job = histogram_job(np.array(numbers, np.float64), np.linspace(-1.0, 3.0, bins + 1))
    assert np.array_equal(counted(kernel("histogram", variant), job, 2), np.histogram(numbers, bins, (-1.0, 3.0))[0])


def test_no_values(variant: str) -> None:
    assert (
        counted(kernel("histogram", variant), histogram_job(np.zeros(0), np.linspace(0, 1, 6)), 2).tolist() == [0] * 5
    )


def test_the_table_is_added_to(variant: str) -> None:
    counts = np.arange(2)
    kernel("histogram", variant)(counts, np.array([0.1, 0.2, 0.9]), np.array([0.0, 0.5, 1.0]))
    assert counts.tolist() == [2, 2]


def test_cells_beside_the_table_stay_untouched(variant: str) -> None:
    edges = np.linspace(0, 1, 11)
    guarded = Guarded(10)
    around = np.concatenate([edges, np.nextafter(edges, -1), np.nextafter(edges, 2), [np.nan, np.inf, -np.inf, 1e308]])
    kernel("histogram", variant)(guarded.table, around, edges)
    assert guarded.intact()
    assert np.array_equal(guarded.table, np.histogram(around, 10, (0, 1))[0])


def test_make_draws_by_seed() -> None:
    make = WORKLOADS["histogram"].make
    assert np.array_equal(make(1000, 3).arrays[0], make(1000, 3).arrays[0])
    assert not np.array_equal(make(1000, 3).arrays[0], make(1000, 4).arrays[0])


COMPILED = [name for name in INSTALLED if name not in ("python", "numpy")]


@pytest.mark.parametrize("variant", COMPILED)
class TestWrongEdges:
    """The loops turn a product into an index: one that could be NaN or huge would write anywhere."""

    @pytest.mark.parametrize("edges", [[], [0.0], [0.0, 1.0], [0.0, 1.0, 2.0, 3.0]])
    def test_too_few_or_too_many(self, variant: str, edges: list[float]) -> None:
        with pytest.raises(ValueError, match="2 bins need 3 edges"):
            kernel("histogram", variant)(np.zeros(2, np.int64), np.zeros(3), np.array(edges))

    def test_no_bins(self, variant: str) -> None:
        with pytest.raises(ValueError, match="0 bins need 1 edges"):
            kernel("histogram", variant)(np.zeros(0, np.int64), np.zeros(3), np.zeros(1))

    @pytest.mark.parametrize(
        ("low", "high"),
        [
            (0.0, 0.0),
            (1.0, 0.0),
            (0.0, np.inf),
            (-np.inf, 0.0),
            (np.nan, 1.0),
            (0.0, np.nan),
            (-1.7e308, 1.7e308),  # the width overflows
            (0.0, 5e-324),  # its inverse does
        ],
    )
    def test_no_width(self, variant: str, low: float, high: float) -> None:
        guarded = Guarded(2)
        if variant.startswith("cython") and low <= high:  # which takes any edges that ascend
            values, edges = np.array([low, high, 0.0, np.nan]), np.array([low, low, high])
            kernel("histogram", variant)(guarded.table, values, edges)
            assert guarded.table.tolist() == np.histogram(values, edges)[0].tolist()
            assert guarded.intact()
            return
        message = "the edges must ascend" if variant.startswith("cython") else "no uniform bins fit between"
        with pytest.raises(ValueError, match=message):
            kernel("histogram", variant)(guarded.table, np.array([low, high, 0.0]), np.array([low, low, high]))
        assert guarded.intact()
        assert not guarded.table.any()


@pytest.mark.parametrize("loop", [native.released, native.held])
class TestWrongArguments:
    EDGES = np.array([0.0, 0.5, 1.0])

    @pytest.mark.parametrize("counts", [np.zeros(2, np.int32), np.zeros(2), np.zeros((2, 1), np.int64)])
    def test_a_table_of_another_kind(self, loop: Loop, counts: NDArray[np.generic]) -> None:
        with pytest.raises(ValueError, match="Buffer"):
            loop(counts, np.zeros(3), self.EDGES)

    @pytest.mark.parametrize(
        "other", [np.zeros(3, np.float16), np.zeros(3, np.int64), np.zeros((3, 1)), np.zeros(6)[::2]]
    )
    def test_values_or_edges_of_another_kind(self, loop: Loop, other: NDArray[np.generic]) -> None:
        with pytest.raises((TypeError, ValueError), match=r"[Bb]uffer|contiguous|signature"):
            loop(np.zeros(2, np.int64), other, self.EDGES)
        with pytest.raises((TypeError, ValueError), match=r"[Bb]uffer|contiguous|signature"):
            loop(np.zeros(2, np.int64), np.zeros(3), other)

    def test_none(self, loop: Loop) -> None:
        with pytest.raises(TypeError, match="None"):
            loop(None, np.zeros(3), self.EDGES)
        with pytest.raises(TypeError):
            loop(np.zeros(2, np.int64), None, self.EDGES)
        with pytest.raises(TypeError, match="None"):
            loop(np.zeros(2, np.int64), np.zeros(3), None)


def test_a_joint_histogram_without_axes_is_refused() -> None:
    search = native.BinSearch(np.array([0.0, 1.0]))
    with pytest.raises(ValueError, match="from 1 to 64 axes"):
        native.count_joint(np.zeros(1, np.int64), [], [])
    with pytest.raises(ValueError, match="from 1 to 64 axes"):
        native.weigh_joint(np.zeros(1), [], [], np.zeros(0))
    with pytest.raises(TypeError, match="each axis needs a BinSearch"):
        native.count_joint(np.zeros(1, np.int64), [None], [np.zeros(3)])
    with pytest.raises(ValueError, match="a column for each"):
        native.count_joint(np.zeros(3, np.int64), [search], [])


def bins_by_searchsorted(edges: NDArray[np.float64], values: NDArray[Any]) -> NDArray[np.int64]:
    """The bin of each value, from 1; outside them zero or one more than there are."""
    values = values.astype(np.float64)
    bins = np.searchsorted(edges, values, "right")
    return np.where(np.isnan(values), 0, np.where(values == edges[-1], len(edges) - 1, bins))


@st.composite
def any_edges(draw: st.DrawFn) -> NDArray[np.float64]:
    """Ascending edges of all kinds: close together in a wide range, equal, infinite, evenly spaced in any scale."""
    seed, size = draw(st.integers(0, 1 << 32)), draw(st.integers(2, 300))
    random = np.random.default_rng(seed)
    edges = draw(
        st.one_of(
            st.lists(st.floats(allow_nan=False), min_size=2, max_size=60).map(np.array),
            st.sampled_from(
                [
                    np.linspace(-1, 3, size),
                    np.float64(1e6) + np.linspace(0, 1, size),
                    random.random(size),
                    random.standard_cauchy(size),
                    random.standard_normal(size) ** 9,
                    1.33 ** np.arange(-float(size), 0),
                    random.integers(-9, 9, size).astype(float),
                    0.5 + np.repeat(random.random(size), 2) * 10.0 ** random.integers(-16, 1, 2 * size),
                    np.concatenate([[-np.inf, 0, np.inf], random.standard_normal(size)]),
                ]
            ),
        )
    )
    return np.sort(edges + 0.0)


class TestEverySearch:
    """Each scale of the cells, each type: `numpy.searchsorted` decides the same."""

    @given(any_edges(), st.integers(0, 1 << 32), st.sampled_from([np.float32, np.float64]))
    @example(np.array([0.0, 0.0, np.inf]), 0, np.float64)
    @example(np.array([-np.inf, np.inf]), 0, np.float32)
    @example(np.array([-1.7e308, 0.0, 1.7e308]), 0, np.float32)
    @example(np.linspace(0, 1, 30_001), 0, np.float32)
    @pytest.mark.parametrize("by", [None, "linear", "logarithmic", "centred"])
    def test_search_is_numpys(self, by: str | None, edges: NDArray[np.float64], seed: int, real: type) -> None:
        random = np.random.default_rng(seed)
        with np.errstate(over="ignore", invalid="ignore"):
            around = np.concatenate(
                [
                    [np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, np.finfo(float).max, np.finfo(float).min],
                    random.choice(edges, 200),
                    np.nextafter(random.choice(edges, 50), -np.inf),
                    np.nextafter(random.choice(edges, 50), np.inf),
                    random.choice(edges, 100) / 2 + random.choice(edges, 100) / 2,
                    random.standard_cauchy(50),
                ]
            ).astype(real)
            values = random.choice(np.concatenate([around, np.nextafter(around, real(0))]), 1001)
        bins = bins_by_searchsorted(edges, values)
        search = native.BinSearch(edges, real is np.float32, by)
        counts = np.zeros(search.bins, np.int64)
        search.count(counts, values)
        assert counts.tolist() == np.bincount(bins, minlength=search.bins + 2)[1:-1].tolist()
        sums = np.zeros(search.bins)
        weights = np.arange(len(values), dtype=np.float64)
        search.weigh(sums, values, weights)
        assert sums.tolist() == np.bincount(bins, weights, search.bins + 2)[1:-1].tolist()
        joint = np.zeros((search.bins + 2) * 4, np.int64)
        native.count_joint(
            joint, [search, native.BinSearch(np.array([0.0, 0.5, 1.0]), real is np.float32)], [values] * 2
        )
        assert joint.reshape(-1, 4).sum(axis=1).tolist() == np.bincount(bins, minlength=search.bins + 2).tolist()

    @pytest.mark.parametrize("bins", [1, 2, 100, 126, 127, 1024, 1025])
    @pytest.mark.parametrize("real", [np.float32, np.float64])
    def test_search_of_many_values_in_one_bin(self, real: type, bins: int) -> None:
        """Cells of eight bits wrap to zero; the two tables are added."""
        random = np.random.default_rng(bins)
        values = np.where(random.random(70_001) < 0.3, 0.7, random.random(70_001)).astype(real)
        for edges in (np.linspace(0, 1, bins + 1), np.sort(random.random(bins + 1))):
            counts = np.zeros(bins, np.int64)
            native.BinSearch(edges, real is np.float32).count(counts, values)
            expected = np.bincount(bins_by_searchsorted(edges, values), minlength=bins + 2)[1:-1]
            assert counts.tolist() == expected.tolist()

    def test_search_of_another_type_is_refused(self) -> None:
        with pytest.raises(TypeError, match="values of another type"):
            native.BinSearch(np.array([0.0, 1.0])).count(np.zeros(1, np.int64), np.zeros(3, np.float32))
