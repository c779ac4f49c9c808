"""The workload `histogram`: floats counted into uniform bins, exactly as `numpy.histogram` puts them.

A computed bin index is rounded, so a value close to an edge may land one bin off; like NumPy, every variant then lets
the edges decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from parcount.kernels import numpy_loops
from parcount.kernels.job import Counts, Job, Part, Workload, cuts, total, variants_of


@dataclass(frozen=True)
class HistogramJob(Job):
    """One-dimensional float64 `values`; those outside ``low … high``, and NaN, are not counted."""

    values: NDArray[np.float64]
    bins: int = 100
    low: float = 0.0
    high: float = 1.0

    @property
    def size(self) -> int:  # type: ignore[override]
        """How many values."""
        return len(self.values)

    @property
    def edges(self) -> NDArray[np.float64]:
        """The ``bins + 1`` edges, as NumPy places them."""
        return np.linspace(self.low, self.high, self.bins + 1)

    def head(self, size: int) -> HistogramJob:
        """The job of the first `size` values."""
        return replace(self, values=self.values[:size])

    def split(self, parts: int) -> list[Part]:
        """Slices of the values, each with the edges."""
        edges = self.edges
        return [Part(self.bins, (self.values[start:stop], edges)) for start, stop in cuts(self.size, parts)]

    def merge(self, partials: Sequence[Counts]) -> Counts:
        """The sum of the parts' tables."""
        return total(partials)

    def exact(self) -> Counts:
        """NumPy's histogram of the whole."""
        counts = np.zeros(self.bins, np.int64)
        numpy_loops.histogram(counts, self.values, self.edges)
        return counts


class Histogram(Workload):
    """Floats, counted into uniform bins."""

    name = "histogram"
    summary = "float to uniform bin, counts[bin] += 1"
    kernels = variants_of("histogram")
    largest = 1 << 24

    def make(self, size: int, seed: int = 0) -> HistogramJob:
        """A job of `size` values, uniform over 100 bins from 0 to 1."""
        return HistogramJob(np.random.default_rng(seed).random(size))
