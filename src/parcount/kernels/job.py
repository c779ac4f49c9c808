"""What a workload is made of: the variants, kernels that travel by name, parts, and jobs."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

Counts = NDArray[np.int64]

CACHE_LINE = 64
"""Bytes that two cores cannot write at once without waiting for each other (128 on some Arm)."""

ROOMY = 1 << 17
"""Cells from which a table's ends do not matter: a megabyte lies on pages of its own."""


@dataclass(frozen=True)
class Variant:
    """One build of a kernel.

    Parameters
    ----------
    name : str
        As the study, the command and the result file spell it.
    summary : str
        What it is, in a few words.
    requires : str, optional
        The module without which it is not installed.
    """

    name: str
    summary: str
    requires: str | None = None

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
        Variant("python", "a plain loop"),
        Variant("numpy", "NumPy's operation"),
        Variant("cython", "the compiled loop, GIL released"),
        Variant("cython-gil", "the same compiled loop, GIL held"),
        Variant("numba", "the loop compiled by Numba, GIL released", requires="numba"),
        Variant("numba-parallel", "Numba's prange over its own threads", requires="numba"),
    )
}


@dataclass(frozen=True)
class Part:
    """A slice of a job, as a kernel takes it.

    Parameters
    ----------
    out : int, ndarray or None
        How many cells a fresh table has, or the cells to count into in place; None for a loop that brings its own.
    args : tuple
        What the loop takes after its table.
    """

    out: int | Counts | None
    args: tuple[Any, ...] = ()

    @property
    def in_place(self) -> bool:
        """Whether it changes cells that others see: begun a second time, it would count twice."""
        return isinstance(self.out, np.ndarray)


@dataclass(frozen=True)
class Kernel:
    """A hot loop by name: small to send to another process, and loaded only where it runs.

    Calling it with a part gives that part's partial counts.

    Parameters
    ----------
    reference : str
        ``"module:function"``. The function takes a table, then the part's ``args``, and counts into the table.
    own_threads : bool
        Whether it brings threads of its own: it then takes a keyword ``threads`` too.
    threads : int
        How many of its own it is to use.
    """

    reference: str
    own_threads: bool = False
    threads: int = 1

    @property
    def module(self) -> str:
        """What has to be imported for it."""
        return self.reference.partition(":")[0]

    def load(self) -> Callable[..., Any]:
        """Import the loop."""
        loop: Callable[..., Any] = getattr(importlib.import_module(self.module), self.reference.partition(":")[2])
        return loop

    def __call__(self, part: Part) -> Counts:
        """Count one part."""
        if part.out is None:
            partial: Counts = self.load()(*part.args)
            return partial
        out = table(part.out) if isinstance(part.out, int) else part.out
        if self.own_threads:
            self.load()(out, *part.args, threads=self.threads)
        else:
            self.load()(out, *part.args)
        return out


class Work(ABC):
    """What can be counted in parts."""

    @abstractmethod
    def split(self, parts: int) -> list[Part]:
        """Cut the work into `parts` parts of nearly equal size (some empty if there is less to do)."""

    @abstractmethod
    def merge(self, partials: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """The counts of the whole from those of the parts, given in the order of `split`."""


class Job(Work):
    """One workload with its data: what is split, counted, merged and checked.

    Attributes
    ----------
    size : int
        How many increments the job asks for.
    """

    size: int

    @abstractmethod
    def head(self, size: int) -> Job:
        """The job of the first `size` increments; shares this one's data."""

    @abstractmethod
    def exact(self) -> Counts:
        """The right answer: NumPy's, over the whole at once."""

    def reset(self) -> None:
        """Put data that counting changes back as it was."""


class Workload(ABC):
    """One counting job: what it counts, how its data is made, and its kernels.

    Attributes
    ----------
    name, summary : str
        For people.
    kernels : mapping of str to Kernel
        By variant's name, in the order of `VARIANTS`; a variant that makes no sense here is absent.
    largest : int
        The size past which a job would only take memory and time without telling more.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    kernels: ClassVar[Mapping[str, Kernel]]
    largest: ClassVar[int]

    @abstractmethod
    def make(self, size: int, seed: int = 0) -> Job:
        """Make a job of `size` increments; equal seeds make equal jobs."""


def variants_of(name: str) -> dict[str, Kernel]:
    """The kernels of a workload that has all six variants where this package keeps them."""
    return {
        "python": Kernel(f"parcount.kernels.python_loops:{name}"),
        "numpy": Kernel(f"parcount.kernels.numpy_loops:{name}"),
        "cython": Kernel(f"parcount._native.{name}:released"),
        "cython-gil": Kernel(f"parcount._native.{name}:held"),
        "numba": Kernel(f"parcount.kernels.numba_loops:{name}"),
        "numba-parallel": Kernel(f"parcount.kernels.numba_loops:{name}_parallel", own_threads=True),
    }


def table(bins: int, dtype: DTypeLike = np.int64) -> NDArray[Any]:
    """A table of `bins` zeros of 8 bytes that shares no cache line with another: threads never wait for each other's.

    Examples
    --------
    >>> table(3)
    array([0, 0, 0])
    """
    if bins >= ROOMY:
        return np.zeros(bins, dtype)
    cells = CACHE_LINE // 8
    padded = np.zeros((bins + cells - 1) // cells * cells + cells, dtype)
    first = -padded.ctypes.data % CACHE_LINE // 8
    return padded[first : first + bins]


def total(partials: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """The sum of partial tables, of which some may be shorter; takes the first of the longest for it.

    Examples
    --------
    >>> total([np.array([1]), np.array([1, 2])])
    array([2, 2])
    """
    base = max(range(len(partials)), key=lambda part: len(partials[part]))
    sums = partials[base]
    for part, partial in enumerate(partials):
        if part != base:
            sums[: len(partial)] += partial
    return sums


def cuts(size: int, parts: int) -> list[tuple[int, int]]:
    """The `parts` ranges, nearly equal, that make up ``0 … size``.

    Examples
    --------
    >>> cuts(10, 3)
    [(0, 3), (3, 6), (6, 10)]
    """
    bounds = [size * part // parts for part in range(parts + 1)]
    return list(pairwise(bounds))
