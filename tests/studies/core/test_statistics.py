from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parcount.studies.core.statistics import estimate, median_sequence

SAMPLES = st.lists(st.floats(0.01, 100), min_size=1, max_size=40)


@given(SAMPLES)
def test_the_interval_holds_the_median_and_stays_within_the_samples(samples: list[float]) -> None:
    found = estimate(samples)
    assert found.median == np.median(samples)
    assert min(samples) <= found.low <= found.median <= found.high <= max(samples)


@given(SAMPLES)
def test_equal_samples_give_equal_intervals(samples: list[float]) -> None:
    assert estimate(samples) == estimate(samples)


@given(SAMPLES, st.floats(0.1, 10))
def test_the_interval_scales_with_the_samples(samples: list[float], factor: float) -> None:
    one, other = estimate(samples), estimate([factor * sample for sample in samples])
    np.testing.assert_allclose(
        [other.low, other.median, other.high], [factor * one.low, factor * one.median, factor * one.high]
    )


def test_one_wild_round_moves_neither_median_nor_interval_far() -> None:
    samples = [2.0, 2.01, 1.99, 2.0, 2.02, 1.98, 2.0, 2.01, 1.99, 2.0]
    found = estimate([*samples, 50.0])
    assert 1.97 < found.low <= found.median <= found.high < 2.03


def test_the_interval_covers_the_true_median_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    # 95 % is asked for; the percentile bootstrap of a median of 15 samples is known to reach a little less or more.
    covered = sum((found := estimate(list(rng.lognormal(0.0, 0.2, 15)))).low <= 1.0 <= found.high for _ in range(400))
    assert 0.90 * 400 <= covered <= 0.99 * 400


def test_more_samples_narrow_the_interval() -> None:
    rng = np.random.default_rng(2)
    samples = list(rng.normal(2.0, 0.1, 400))
    few, many = estimate(samples[:10]), estimate(samples)
    assert many.high - many.low < (few.high - few.low) / 2


def test_no_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="no samples"):
        estimate([])


ERROR = 0.01


class TestMedianSequence:
    @given(st.lists(st.floats(0.01, 100), min_size=10, max_size=60))
    def test_the_interval_holds_the_median_and_consists_of_samples(self, samples: list[float]) -> None:
        found = median_sequence(samples, ERROR)
        assert found is not None
        assert found.median == np.median(samples)
        assert found.low <= found.median <= found.high
        assert {found.low, found.high} <= {*samples}

    def test_few_samples_bound_nothing(self) -> None:
        assert median_sequence([1.0] * 9, ERROR) is None
        assert median_sequence([], ERROR) is None

    def test_however_often_one_looks_the_true_median_is_missed_no_more_often_than_allowed(self) -> None:
        rng = np.random.default_rng(3)

        def ever_missed(samples: list[float]) -> bool:
            looks = (median_sequence(samples[:count], 0.05) for count in range(1, len(samples) + 1))
            return any(found is not None and not found.low <= 1.0 <= found.high for found in looks)

        missed = sum(ever_missed(list(rng.lognormal(0.0, 0.2, 80))) for _ in range(400))
        assert 0 < missed <= 0.05 * 400

    def test_a_bootstrap_interval_would_miss_it_more_often(self) -> None:
        """The control of the test above: looking after each sample needs another interval."""
        rng = np.random.default_rng(3)

        def ever_missed(samples: list[float]) -> bool:
            looks = (estimate(samples[:count]) for count in range(5, len(samples) + 1, 5))
            return any(not found.low <= 1.0 <= found.high for found in looks)

        assert sum(ever_missed(list(rng.lognormal(0.0, 0.2, 80))) for _ in range(60)) > 0.1 * 60

    def test_more_samples_narrow_the_interval(self) -> None:
        rng = np.random.default_rng(4)
        samples = list(rng.normal(2.0, 0.1, 400))
        few, many = median_sequence(samples[:20], ERROR), median_sequence(samples, ERROR)
        assert few is not None
        assert many is not None
        assert many.high - many.low < (few.high - few.low) / 2
