"""Jobs and their parts: what an array function or a study hands to `parcount.engine.run`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from parcount.kernels.growth import grown_size

Counts = NDArray[np.int64]

Kernel = Callable[..., Any]
"""A function ``kernel(table, *args)`` that counts one part.

It adds to `table` and returns None, or returns another array with the counts. For a part without a table, `table` is
None and the kernel returns the partial result. A kernel with an attribute ``own_threads`` starts as many threads as its
keyword ``threads`` says.
"""

CACHE_LINE = 64
"""Size in bytes of the memory that cores cannot write at the same time (128 on some Arm)."""

LARGE_TABLE = 1 << 17
"""Cells from which a table is not aligned to cache lines, because a megabyte is allocated in pages of its own."""


@dataclass(eq=False, slots=True)  # not frozen, which takes longer to make
class Part:
    """The arguments of a kernel for one part of a job.

    Parameters
    ----------
    table : int, ndarray or None
        Number of cells of a new table, or the cells to count into in place, or None for a kernel that takes no table.
    args : tuple
        The kernel's other arguments.
    dtype : dtype, optional
        Of a new table.
    """

    table: int | Counts | None
    args: tuple[Any, ...] = ()
    dtype: DTypeLike = np.int64


class Job(ABC):
    """Data that is counted in parts.

    Attributes
    ----------
    size : int
        Number of elements.
    bins : int or None
        Number of cells of each part's table; None if the kernel takes no table.
    in_place : bool
        Whether parts change memory that the caller sees. A part that is begun twice is then counted twice.
    """

    size: int
    bins: int | None = None
    in_place: bool = False

    @abstractmethod
    def split(self, parts: int) -> list[Part]:
        """Cut the job into `parts` parts of nearly equal size; some are empty if there are fewer elements."""

    @abstractmethod
    def merge(self, partials: Sequence[Any]) -> Any:
        """The counts of the whole from those of the parts, given in the order of `split`."""

    @abstractmethod
    def head(self, size: int) -> Self:
        """The job of the first `size` elements; shares this one's data."""

    @abstractmethod
    def exact(self) -> Counts:
        """The right answer: NumPy's, over the whole at once."""

    def reset(self) -> None:
        """Restore data that counting has changed."""

    def with_arrays(self, convert: Callable[[NDArray[Any]], NDArray[Any]]) -> Self:  # noqa: ARG002
        """The same job over converted arrays, such as copies in shared memory."""
        return self


@dataclass(eq=False)
class Slices(Job):
    """A job over one-dimensional arrays of one length, whose parts are slices of them all.

    Parameters
    ----------
    arrays : sequence of ndarray
        Of any strides and byte order. A kernel gets a slice of each.
    settings : tuple
        Further arguments of the kernel, equal for all parts.
    bins : int, optional
        Number of cells of each part's table; None for kernels that take no table.
    dtype : dtype, optional
        Of the tables.
    in_place : bool, optional
        Whether the kernel counts into slices of the first array, instead of into new tables.
    reference : Kernel, optional
        NumPy's kernel for this job, with which `exact` counts.
    original : ndarray, optional
        A copy of the first array, to which `reset` returns it.
    """

    arrays: Sequence[NDArray[Any]]
    settings: tuple[Any, ...] = ()
    bins: int | None = None
    dtype: DTypeLike = np.int64
    in_place: bool = False
    reference: Kernel | None = None
    original: NDArray[Any] | None = None

    @property
    def size(self) -> int:  # type: ignore[override]
        """Length of the arrays."""
        return len(self.arrays[0])

    def split(self, parts: int) -> list[Part]:
        """Slices of all arrays."""
        if self.in_place:
            cells, *others = self.arrays
            return [
                Part(cells[start:stop], (*[array[start:stop] for array in others], *self.settings))
                for start, stop in cuts(self.size, parts)
            ]
        return [
            Part(self.bins, (*[array[start:stop] for array in self.arrays], *self.settings), self.dtype)
            for start, stop in cuts(self.size, parts)
        ]

    def merge(self, partials: Sequence[Any]) -> Any:
        """The sum of the tables, in the order of the parts.

        In place: the cells. Parts that a process has counted in a copy are written back.
        """
        if not self.in_place:
            return total(partials)
        cells = self.arrays[0]
        for (start, stop), partial in zip(cuts(self.size, len(partials)), partials, strict=True):
            if not np.may_share_memory(cells[start:stop], partial):
                cells[start:stop] = partial
        return cells

    def head(self, size: int) -> Self:
        """The job of the first `size` elements."""
        original = None if self.original is None else self.original[:size]
        return replace(self, arrays=[array[:size] for array in self.arrays], original=original)

    def exact(self) -> Counts:
        """What `reference` counts."""
        if self.reference is None:
            raise ValueError("this job has no reference")
        fresh = self if self.original is None else replace(self, arrays=[self.original.copy(), *self.arrays[1:]])
        (part,) = fresh.split(1)
        counts: Counts = count_part(self.reference, part)
        return counts

    def reset(self) -> None:
        """Return the first array to its original."""
        if self.original is not None:
            self.arrays[0][:] = self.original

    def with_arrays(self, convert: Callable[[NDArray[Any]], NDArray[Any]]) -> Self:
        """The same job over converted arrays."""
        return replace(self, arrays=[convert(array) for array in self.arrays])


def count_part(kernel: Kernel, part: Part) -> Any:
    """Call a kernel with the table that its part asks for; return the partial counts."""
    out = table(part.table, part.dtype) if isinstance(part.table, int) else part.table
    partial = kernel(out, *part.args)
    return out if partial is None else partial


def table(bins: int, dtype: DTypeLike = np.int64) -> NDArray[Any]:
    """A table of `bins` zeros of 8 bytes that shares no cache line with another array.

    Examples
    --------
    >>> table(3)
    array([0, 0, 0])
    """
    if bins >= LARGE_TABLE:
        return np.zeros(bins, dtype)
    cells = CACHE_LINE // 8
    padded = np.zeros((bins + cells - 1) // cells * cells + cells, dtype)
    address = padded.__array_interface__["data"][0]  # `padded.ctypes` imports, which fails while Python ends
    first = -address % CACHE_LINE // 8
    return padded[first : first + bins]


def grown(counts: NDArray[Any], keys: NDArray[Any], grow: bool) -> NDArray[Any]:
    """A copy of a table, long enough for all keys.

    Parameters
    ----------
    counts : ndarray
        The table.
    keys : ndarray
        One of them lies outside the table.
    grow : bool
        Whether the table may grow.

    Raises
    ------
    ValueError
        If a key is negative, or the table must not grow.
    MemoryError
        If there is not enough memory.
    """
    size = grown_size(len(counts), np.minimum.reduce(keys), np.maximum.reduce(keys), grow)
    longer = table(size, counts.dtype)
    longer[: len(counts)] = counts
    return longer


def total(partials: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """The sum of partial tables, some of which may be shorter; reuses the first of the longest.

    Examples
    --------
    >>> total([np.array([1]), np.array([1, 2])])
    array([2, 2])
    """
    base = max(range(len(partials)), key=lambda part: len(partials[part]))
    sums = np.asarray(partials[base])
    for part, partial in enumerate(partials):
        if part != base:
            sums[: len(partial)] += partial
    return sums


def cuts(size: int, parts: int) -> list[tuple[int, int]]:
    """The `parts` ranges of nearly equal length that make up ``0 … size``.

    Examples
    --------
    >>> cuts(10, 3)
    [(0, 3), (3, 6), (6, 10)]
    """
    bounds = [size * part // parts for part in range(parts + 1)]
    return list(pairwise(bounds))
