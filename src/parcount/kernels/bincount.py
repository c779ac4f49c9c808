"""The workload `bincount`: count how often each integer key occurs, ``counts[keys[i]] += 1``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parcount.kernels import numpy_loops
from parcount.kernels.job import Counts, Job, Part, Workload, cuts, total, variants_of


@dataclass(frozen=True)
class BincountJob(Job):
    """One-dimensional `keys` of any integer dtype, each in ``0 … bins - 1``."""

    keys: NDArray[Any]
    bins: int

    @property
    def size(self) -> int:  # type: ignore[override]
        """How many keys."""
        return len(self.keys)

    def head(self, size: int) -> BincountJob:
        """The job of the first `size` keys."""
        return replace(self, keys=self.keys[:size])

    def split(self, parts: int) -> list[Part]:
        """Slices of the keys."""
        return [Part(self.bins, (self.keys[start:stop],)) for start, stop in cuts(self.size, parts)]

    def merge(self, partials: Sequence[Counts]) -> Counts:
        """The sum of the parts' tables."""
        return total(partials)

    def exact(self) -> Counts:
        """NumPy's count of the whole."""
        counts = np.zeros(self.bins, np.int64)
        numpy_loops.bincount(counts, self.keys)
        return counts


class Bincount(Workload):
    """Integer keys, counted."""

    name = "bincount"
    summary = "integer keys, counts[x[i]] += 1"
    kernels = variants_of("bincount")
    largest = 1 << 24

    def make(self, size: int, seed: int = 0) -> BincountJob:
        """A job of `size` int64 keys, uniform over 1024 bins."""
        return BincountJob(np.random.default_rng(seed).integers(0, 1024, size), 1024)

    def over(self, data: NDArray[np.uint8]) -> BincountJob:
        """A job that counts given bytes."""
        return BincountJob(data, 256)
