"""Indices into an array, negative ones from its end as in Python, and what each adds there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parcount._native import bincount as native
from parcount.kernels.blocks import BLOCK, blocks
from parcount.kernels.job import Kernel, table

KERNEL = Kernel("parcount.kernels.add_at:added")


def added(columns: Sequence[NDArray[Any]], addends: NDArray[Any] | None, cells: int) -> NDArray[Any]:
    """Add at the indices in the one column of a table of its own.

    Parameters
    ----------
    columns, addends
        As in `Slices`; the indices of any integer dtype, the addends of any integer dtype or float64.
    cells : int
        How long the table is.

    Returns
    -------
    ndarray of int64, or of float64 with addends of float64
        What is to be added to each cell. Integers come round as NumPy's do.

    Raises
    ------
    IndexError
        If an index lies outside.
    """
    (indices,) = columns
    if addends is None:
        sums = table(cells)
        for (block,) in blocks([indices], [indices.dtype]):
            done = native.fill(sums, block)
            for start in range(done, len(block), BLOCK):
                inside = _from_the_start(block[start : start + BLOCK], cells)
                _all(native.fill(sums, inside), inside, cells)
        return sums
    dtype = np.dtype(np.float64 if addends.dtype.kind == "f" else np.int64)  # uint64 wraps as int64 does
    sums = table(cells, dtype)
    for block, its in blocks([indices, addends], [indices.dtype, dtype]):
        done, _ = native.fill_weighted(sums, block, its)
        for start in range(done, len(block), BLOCK):
            inside = _from_the_start(block[start : start + BLOCK], cells)
            done, _ = native.fill_weighted(sums, inside, its[start : start + BLOCK])
            _all(done, inside, cells)
    return sums


def _from_the_start(indices: NDArray[Any], cells: int) -> NDArray[Any]:
    """The indices with negative ones counted from the end."""
    if indices.dtype.kind == "u":
        return indices  # int64 does not hold all of uint64
    far = indices.astype(np.int64)
    far[far < 0] += cells
    return far


def _all(done: int, indices: NDArray[Any], cells: int) -> None:
    if done < len(indices):
        index = int(indices[done])
        raise IndexError(
            f"index {index if index >= 0 else index - cells} is out of bounds for axis 0 with size {cells}"
        )
