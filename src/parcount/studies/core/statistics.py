"""The median of samples, and its bootstrap interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
RESAMPLES = 2000

LEAST_SAMPLES = 3
"""Fewest samples for a meaningful interval."""


@dataclass(frozen=True)
class Estimate:
    """A median with its bootstrap interval."""

    median: float
    low: float
    high: float

    def exceeds(self, bound: float) -> bool | None:
        """Return whether the whole interval is above a bound; None if the bound is inside."""
        if self.low > bound:
            return True
        return False if self.high <= bound else None

    def __str__(self) -> str:
        return f"{self.median:.2f}× [{self.low:.2f}–{self.high:.2f}]"


def estimate(samples: Sequence[float]) -> Estimate:
    """Return the median of samples with a percentile bootstrap interval.

    A single disturbed round does not move a median, and the bootstrap assumes no distribution of the times (Efron and
    Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). The resampling is seeded: equal samples give equal
    intervals.

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
    picks = np.random.default_rng(0).integers(0, values.size, (RESAMPLES, values.size))
    medians = np.median(values[picks], axis=1)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(medians, [tail, 1 - tail])
    return Estimate(float(np.median(values)), float(low), float(high))
