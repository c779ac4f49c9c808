"""The workloads, and every variant of their kernels."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from parcount.kernels.bincount import bincount_job
from parcount.kernels.histogram import histogram_job
from parcount.kernels.increment import increment_job
from parcount.kernels.job import Counts, Job, Kernel, Part, Slices
from parcount.kernels.tally import TallyJob

__all__ = ["VARIANTS", "WORKLOADS", "Counts", "Job", "Kernel", "Part", "Slices", "TallyJob", "Variant", "Workload"]


@dataclass(frozen=True)
class Variant:
    """One build of the kernels.

    Parameters
    ----------
    name : str
        As the study, the command and the result file spell it.
    summary : str
        What it is, in a few words.
    module : str
        The module that has the kernels.
    suffix : str, optional
        What follows a workload's name in a kernel's name there.
    requires : str, optional
        The module without which the variant is not installed.
    own_threads : bool, optional
        Whether its kernels start threads of their own.
    """

    name: str
    summary: str
    module: str
    suffix: str = ""
    requires: str | None = None
    own_threads: bool = False

    def missing(self) -> str | None:
        """Why this variant cannot run here, or None if it can. Imports what the variant requires."""
        if self.requires is None:
            return None
        try:
            importlib.import_module(self.requires)
        except ImportError as error:
            return str(error)
        return None


VARIANTS: Mapping[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant("python", "a plain loop", "parcount.kernels.python_loops"),
        Variant("numpy", "NumPy's operation", "parcount.kernels.numpy_loops"),
        Variant("cython", "the compiled loop, GIL released", "parcount.kernels.cython_loops"),
        Variant("cython-gil", "the same compiled loop, GIL held", "parcount.kernels.cython_loops", "_gil"),
        Variant("numba", "the loop compiled by Numba, GIL released", "parcount.kernels.numba_loops", requires="numba"),
        Variant(
            "numba-parallel",
            "Numba's prange over its own threads",
            "parcount.kernels.numba_loops",
            "_parallel",
            requires="numba",
            own_threads=True,
        ),
    )
}


class Kernels(Mapping[str, Kernel]):
    """The kernels of one workload by variant, each imported when it is asked for."""

    def __init__(self, workload: str) -> None:
        self._workload = workload

    def __getitem__(self, variant: str) -> Kernel:
        found = VARIANTS[variant]
        kernel: Kernel = getattr(importlib.import_module(found.module), self._workload + found.suffix)
        return kernel

    def __contains__(self, variant: object) -> bool:
        return variant in VARIANTS  # without importing the kernel, whose library may not be installed

    def __iter__(self) -> Iterator[str]:
        return iter(VARIANTS)

    def __len__(self) -> int:
        return len(VARIANTS)


class Workload(ABC):
    """One operation: its kernels, and how a study makes data for it.

    Attributes
    ----------
    name, summary : str
        For people.
    kernels : mapping of str to Kernel
        By variant's name, in the order of `VARIANTS`.
    largest : int
        The size above which a job takes more memory and time without telling more.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    kernels: ClassVar[Mapping[str, Kernel]]
    largest: ClassVar[int]

    @abstractmethod
    def make(self, size: int, seed: int = 0) -> Job:
        """Make a job of `size` elements; equal seeds make equal jobs."""


class Tally(Workload):
    """Pseudo-random keys, counted."""

    name = "tally"
    summary = "pseudo-random key, counts[key] += 1"
    kernels = Kernels("tally")
    largest = 1 << 32

    def make(self, size: int, seed: int = 0) -> Job:
        """A job of `size` increments over 256 counters."""
        return TallyJob(size, seed)


class Increment(Workload):
    """Every cell of an array, plus one.

    Two memory accesses and one addition: memory is the limit, and the study shows what more workers buy then.
    """

    name = "increment"
    summary = "every cell of an array, a[i] += 1"
    kernels = Kernels("increment")
    largest = 1 << 24

    def make(self, size: int, seed: int = 0) -> Job:
        """A job of `size` int64 cells with random values."""
        cells = np.random.default_rng(seed).integers(0, 1 << 40, size)
        return increment_job(cells, original=cells.copy())


class Bincount(Workload):
    """Integer keys, counted."""

    name = "bincount"
    summary = "integer keys, counts[x[i]] += 1"
    kernels = Kernels("bincount")
    largest = 1 << 24

    def make(self, size: int, seed: int = 0) -> Job:
        """A job of `size` int64 keys, uniform over 1024 bins."""
        return bincount_job(np.random.default_rng(seed).integers(0, 1024, size))

    def over(self, data: NDArray[Any]) -> Job:
        """A job that counts given keys."""
        return bincount_job(data)


class Histogram(Workload):
    """Floats, counted into uniform bins."""

    name = "histogram"
    summary = "float to uniform bin, counts[bin] += 1"
    kernels = Kernels("histogram")
    largest = 1 << 24

    def make(self, size: int, seed: int = 0) -> Job:
        """A job of `size` values, uniform over 100 bins from 0 to 1."""
        return histogram_job(np.random.default_rng(seed).random(size), np.linspace(0, 1, 101))


WORKLOADS: Mapping[str, Workload] = {
    workload.name: workload for workload in (Tally(), Increment(), Bincount(), Histogram())
}
"""The workloads, by name."""


def workload(name: str) -> Workload:
    """The workload called `name`.

    Raises
    ------
    ValueError
        If there is none; the message names those that exist.
    """
    try:
        return WORKLOADS[name]
    except KeyError:
        raise ValueError(f"no workload {name!r}; there are {', '.join(WORKLOADS)}") from None
