"""What samples say: a median, and how far it can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
RESAMPLES = 2000

LEAST_SAMPLES = 3
"""Fewer give an interval that means nothing."""


@dataclass(frozen=True)
class Estimate:
    """A median with its bootstrap interval."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f}× [{self.low:.2f}–{self.high:.2f}]"


def estimate(samples: Sequence[float]) -> Estimate:
    """The median of `samples` with a percentile bootstrap interval.

    The median, for one round that another program disturbed must not move it; the bootstrap, for timings follow no
    known distribution (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). The resampling is
    seeded: equal samples give equal intervals.

    Parameters
    ----------
    samples : sequence of float
        At least one.

    Returns
    -------
    Estimate
        The interval holds the median of 95 % of the resamples.

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
    picks = np.random.default_rng(0).integers(0, values.size, (RESAMPLES, values.size))
    medians = np.median(values[picks], axis=1)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(medians, [tail, 1 - tail])
    return Estimate(float(np.median(values)), float(low), float(high))
