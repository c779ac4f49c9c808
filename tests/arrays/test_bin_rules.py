"""The rules for the number of bins, against `numpy.histogram_bin_edges` and `numpy.histogram`."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import parcount as pc
from parcount.arrays import bin_rules
from tests.arrays.support import LAYOUTS, Array, assert_same, layouts, outcome, warns_as_numpy_does
from tests.pairwise import pairwise

pytestmark = [pytest.mark.usefixtures("finest_grain"), warns_as_numpy_does]

RULES = list(bin_rules.RULES)

DATA: dict[str, Any] = {
    "normal": lambda random, n: random.normal(3, 1, n),
    "far from zero": lambda random, n: 1e9 + random.normal(size=n),
    "heavy tails": lambda random, n: random.standard_cauchy(n),
    "rounded": lambda random, n: random.normal(size=n).round(1),
    "float32": lambda random, n: random.exponential(size=n).astype("f4"),
    "int8": lambda random, n: random.integers(-128, 128, n).astype("i1"),
    "few integers": lambda random, n: random.integers(0, 4, n).astype("u2"),
    "large integers": lambda random, n: random.integers(-(1 << 62), 1 << 62, n),
    "ascending": lambda random, n: np.arange(n),  # noqa: ARG005
    "equal": lambda random, n: np.full(n, 7.5),  # noqa: ARG005
    "not finite": lambda random, n: np.where(random.random(n) < 0.1, np.nan, 1.0),
}

RANGES = [None, (-1, 2), (0.2, 0.7), (5, 5), (-200, 200), (1, 0), (0, np.nan)]

SIZES = [1, 2, 3, 100, 1000, 40_011]


@given(st.sampled_from(pairwise(RULES, list(DATA), RANGES, SIZES)), layouts, st.integers(0, 99), st.integers(1, 3))
def test_edges_are_numpys(case: Any, layout: str, seed: int, threads: int) -> None:
    rule, kind, limits, size = case
    data = LAYOUTS[layout](DATA[kind](np.random.default_rng(seed), 300 if rule == "stone" else size))
    expected = outcome(np.histogram_bin_edges, data, rule, limits)
    assert_same(outcome(bin_rules.bin_edges, data, rule, limits, threads), expected)


@pytest.mark.parametrize("rule", [*RULES, "no rule"])
def test_histograms_are_numpys(rule: str) -> None:
    random = np.random.default_rng(1)
    for data in (random.normal(size=30_000), random.normal(size=(150, 100)).astype("f4").T):
        some: Array = data[:400] if rule == "stone" else data
        assert_same(outcome(pc.histogram, some, rule, threads=2), outcome(np.histogram, some, rule))
        assert_same(outcome(pc.histogram, some, rule, (-1, 1)), outcome(np.histogram, some, rule, (-1, 1)))
        for weights in (some, some[:1]):
            expected = outcome(np.histogram, some, rule, weights=weights)
            assert_same(outcome(pc.histogram, some, rule, weights=weights, threads=2), expected)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("size", [1, 8, 129, 100_003])
def test_sums_are_numpys_in_every_bit(dtype: str, size: int) -> None:
    data = np.random.default_rng(size).normal(100, 3, size).astype(dtype)
    summary = bin_rules._Data(data, None, pc.Threads(2))
    assert_same(summary.mean, np.mean(data))
    assert_same(summary.standard_deviation, np.std(data))


def test_the_usual_data_needs_no_help_of_numpys() -> None:
    data = np.random.default_rng(0).normal(size=50_000)
    for rule in RULES:
        some = data[:1000] if rule == "stone" else data
        assert bin_rules._Data(some, None, pc.Serial()).number_of_bins(rule) > 1


def test_a_sample_that_misses_leaves_the_work_to_numpy() -> None:
    data = np.random.default_rng(0).normal(size=1 << 18)
    data[:: len(data) // (1 << 14)] = 50  # all that the sample sees
    with pytest.raises(bin_rules.Undecided):
        bin_rules._Data(data, None, pc.Serial()).number_of_bins("fd")
    assert_same(pc.histogram(data, "fd", threads=2), np.histogram(data, "fd"))


def test_stone_warns_as_numpys() -> None:
    with pytest.warns(RuntimeWarning, match="suboptimal"):
        pc.histogram(np.repeat([0.0, 1.0], 50), "stone", threads=2)
