"""The workload `increment`: add one to every cell of an array, ``a[i] += 1``.

Two memory accesses and one addition: it is bound by memory, and shows what more workers buy when memory is the limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from parcount.kernels.job import Counts, Job, Part, Workload, cuts, variants_of


@dataclass(frozen=True)
class IncrementJob(Job):
    """`cells` that are counted into in place, and the values they had `before`."""

    cells: Counts
    before: Counts

    @property
    def size(self) -> int:  # type: ignore[override]
        """How many cells."""
        return len(self.cells)

    def head(self, size: int) -> IncrementJob:
        """The job of the first `size` cells."""
        return replace(self, cells=self.cells[:size], before=self.before[:size])

    def split(self, parts: int) -> list[Part]:
        """Slices of the cells themselves."""
        return [Part(self.cells[start:stop]) for start, stop in cuts(self.size, parts)]

    def merge(self, partials: Sequence[Counts]) -> Counts:
        """The cells; parts that were counted in a copy (by another process) are written back."""
        for (start, stop), partial in zip(cuts(self.size, len(partials)), partials, strict=True):
            if not np.may_share_memory(self.cells[start:stop], partial):
                self.cells[start:stop] = partial
        return self.cells

    def exact(self) -> Counts:
        """One more than before."""
        return self.before + 1

    def reset(self) -> None:
        """Put the cells back to what they were."""
        self.cells[:] = self.before


class Increment(Workload):
    """Every cell of an array, plus one."""

    name = "increment"
    summary = "every cell of an array, a[i] += 1"
    kernels = variants_of("increment")
    largest = 1 << 24

    def make(self, size: int, seed: int = 0) -> IncrementJob:
        """A job of `size` int64 cells with random values."""
        before = np.random.default_rng(seed).integers(0, 1 << 40, size)
        return IncrementJob(before.copy(), before)
