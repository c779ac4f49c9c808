"""The median of samples, with an interval for one look at them and with one for any number of looks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 2000

LEAST_SAMPLES = 3
"""Fewest samples for a bootstrap interval that means something."""


@dataclass(frozen=True)
class Estimate:
    """A median with its interval."""

    median: float
    low: float
    high: float

    def exceeds(self, bound: float) -> bool | None:
        """Return whether the whole interval is above a bound; None if the bound is inside."""
        if self.low > bound:
            return True
        return False if self.high <= bound else None

    @property
    def percent(self) -> str:
        """The same in percent."""
        return f"{100 * self.median:.0f} % [{100 * self.low:.0f}–{100 * self.high:.0f}]"

    def __str__(self) -> str:
        return f"{self.median:.2f}× [{self.low:.2f}–{self.high:.2f}]"


def significant(value: float) -> float:
    """Return a value with six digits: more than are known of a ratio of times, and a third of the characters.

    Examples
    --------
    >>> significant(1.23456789)
    1.23457
    """
    return float(f"{value:.6g}")


def estimate(samples: Sequence[float]) -> Estimate:
    """Return the median of samples with a percentile bootstrap interval.

    A single disturbed round does not move a median, and the bootstrap assumes no distribution of the times (Efron and
    Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). The resampling is seeded: equal samples give equal
    intervals. The interval holds for a number of samples that does not depend on them; `median_sequence` gives one for
    samples that are taken until something is decided.

    Parameters
    ----------
    samples : sequence of float
        At least one.

    Returns
    -------
    Estimate
        Its interval contains the medians of 95 % of the resamples.

    Raises
    ------
    ValueError
        If there are no samples.

    Examples
    --------
    >>> estimate([2.0, 2.0, 2.0])
    Estimate(median=2.0, low=2.0, high=2.0)
    """
    values = np.asarray(samples, np.float64)
    if values.size == 0:
        raise ValueError("no samples: no median")
    return percentile_estimate(float(np.median(values)), resampled_medians(values, np.random.default_rng(0)))


def resampled_medians(values: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """Return the medians of bootstrap resamples."""
    picks = random.integers(0, values.size, (RESAMPLES, values.size))
    return np.asarray(np.median(values[picks], axis=1))


def percentile_estimate(value: float, resampled: NDArray[np.float64]) -> Estimate:
    """Return a value with the interval that contains 95 % of those of resamples."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return Estimate(value, float(low), float(high))


def median_sequence(samples: Sequence[float], error: float) -> Estimate | None:
    """Return the median of samples with an interval that stays valid however often one looks.

    If the interval is computed anew after each sample, the probability that it ever misses the median of the
    distribution is at most `error`. Sampling may therefore stop at any time, and for any reason, such as that the
    interval is narrow enough.

    Parameters
    ----------
    samples : sequence of float
        Independent samples, in any order; an infinite one is larger, or smaller, than any bound.
    error : float
        Probability of an error, of all looks together.

    Returns
    -------
    Estimate or None
        None if there are too few samples for a bounded interval: fewer than 12 for an error of 0.0025.

    Notes
    -----
    The interval contains each value that a sequential sign test does not reject. If `m` is the median, the number `s`
    of the first `n` samples that are above `m` is binomial with probability 1/2. The likelihood ratio of a
    beta-binomial mixture, ``2**n * B(a + s, a + n - s) / B(a, a)`` with a = 1/2, is then a martingale with mean 1. The
    probability that it ever reaches ``1 / error`` is at most `error` (Ville, Étude critique de la notion de collectif,
    1939; Robbins, Statistical methods related to the law of the iterated logarithm, 1970; for quantiles Howard and
    Ramdas, Sequential estimation of quantiles with applications to A/B testing and best-arm identification, 2022). No
    distribution is assumed.

    Examples
    --------
    >>> median_sequence([2.0] * 11, 0.0025) is None
    True
    >>> median_sequence([1.9, 2.0, 2.1] * 20, 0.0025)
    Estimate(median=2.0, low=1.9, high=2.1)
    """
    rejected = _rejected(len(samples), error)
    if rejected == 0:
        return None
    ordered = sorted(samples)
    return Estimate(float(np.median(ordered)), ordered[rejected - 1], ordered[-rejected])


@lru_cache(maxsize=1024)
def _rejected(count: int, error: float) -> int:
    """How many samples on one side of a value are too few for the value to be the median: the smallest such number."""

    def log_ratio(above: int) -> float:
        return count * math.log(2) + _log_beta(0.5 + above, 0.5 + count - above) - _log_beta(0.5, 0.5)

    few = 0
    while 2 * few <= count and log_ratio(few) >= -math.log(error):
        few += 1
    return few


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
