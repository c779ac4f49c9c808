"""Indices into an array, negative ones from its end as in Python, and what each adds there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parcount._native import bincount as native
from parcount.kernels.blocks import BLOCK, blocks
from parcount.kernels.workload import Job, Kernel, Part, cuts, table, total


@dataclass(frozen=True)
class IndicesJob(Job):
    """One-dimensional `indices` of any integer dtype into `cells` cells.

    Attributes
    ----------
    addends : ndarray or None
        What each index adds, as int64 or float64; one if None.
    """

    indices: NDArray[Any]
    cells: int
    addends: NDArray[Any] | None = None

    @property
    def size(self) -> int:  # type: ignore[override]
        """How many indices."""
        return len(self.indices)

    def head(self, size: int) -> IndicesJob:
        """The job of the first `size` indices."""
        return IndicesJob(self.indices[:size], self.cells, None if self.addends is None else self.addends[:size])

    def split(self, parts: int) -> list[Part]:
        """Slices of the indices and addends."""
        return [
            Part(
                None,
                (self.indices[start:stop], self.cells, None if self.addends is None else self.addends[start:stop]),
            )
            for start, stop in cuts(self.size, parts)
        ]

    def merge(self, partials: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """The sum of the parts' tables, in their order."""
        return total(partials)

    def exact(self) -> NDArray[Any]:
        """NumPy's sums of the whole."""
        sums = np.zeros(self.cells, np.int64 if self.addends is None else self.addends.dtype)
        np.add.at(sums, self.indices, 1 if self.addends is None else self.addends)
        return sums


KERNEL = Kernel("parcount.kernels.indices:added")


def added(indices: NDArray[Any], cells: int, addends: NDArray[Any] | None) -> NDArray[Any]:
    """Add into a table of its own.

    Parameters
    ----------
    indices, cells, addends
        As in `IndicesJob`; of any strides and byte order.

    Returns
    -------
    ndarray of int64, or of float64 with such addends
        What is to be added to each cell. Integers come round as NumPy's do.

    Raises
    ------
    IndexError
        If an index lies outside.
    """
    if addends is None:
        sums = table(cells)
        for (block,) in blocks([indices], [indices.dtype]):
            done = native.fill(sums, block)
            for start in range(done, len(block), BLOCK):
                inside = _from_the_start(block[start : start + BLOCK], cells)
                _all(native.fill(sums, inside), inside, cells)
        return sums
    dtype = np.dtype(addends.dtype.type)
    sums = table(cells, dtype)
    for block, its in blocks([indices, addends], [indices.dtype, dtype]):
        done, _ = native.fill_weighted(sums, block, its)
        for start in range(done, len(block), BLOCK):
            inside = _from_the_start(block[start : start + BLOCK], cells)
            done, _ = native.fill_weighted(sums, inside, its[start : start + BLOCK])
            _all(done, inside, cells)
    return sums


def _from_the_start(indices: NDArray[Any], cells: int) -> NDArray[np.int64]:
    """The indices with negative ones counted from the end."""
    far = indices.astype(np.int64)
    far[far < 0] += cells
    return far


def _all(done: int, indices: NDArray[np.int64], cells: int) -> None:
    if done < len(indices):
        index = int(indices[done])
        raise IndexError(
            f"index {index if index >= 0 else index - cells} is out of bounds for axis 0 with size {cells}"
        )
