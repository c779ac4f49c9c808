"""The job `tally`: the counter loop with nothing else in it.

The key of increment i is output i of splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
generators", OOPSLA 2014), modulo the number of bins. It depends on the position alone: every split and every variant
counts the same keys. The loop reads no memory but its own counters, and no compiler can fold it into one addition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from parcount.kernels import numpy_loops
from parcount.kernels.job import Counts, Job, Part, count_part, cuts, total


@dataclass(frozen=True)
class TallyJob(Job):
    """`size` increments over `bins` counters (a power of two)."""

    size: int
    seed: int = 0
    bins: int = 256

    def head(self, size: int) -> TallyJob:
        """The job of the first `size` increments."""
        return replace(self, size=size)

    def split(self, parts: int) -> list[Part]:
        """Ranges of positions."""
        return [Part(self.bins, (start, stop, self.seed)) for start, stop in cuts(self.size, parts)]

    def merge(self, partials: Sequence[Counts]) -> Counts:
        """The sum of the parts' tables."""
        return total(partials)

    def exact(self) -> Counts:
        """NumPy's count of the whole."""
        (part,) = self.split(1)
        counts: Counts = count_part(numpy_loops.tally, part)
        return counts
