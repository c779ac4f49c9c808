"""The kernels of `add_at`: add at indices, negative ones counted from the end as in Python."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from parcount._native import bincount as native
from parcount.kernels.blocks import BLOCK, blocks


def add_at(sums: NDArray[np.int64], indices: NDArray[Any]) -> None:
    """Add one at each index.

    Parameters
    ----------
    sums : ndarray of int64
        The table.
    indices : ndarray
        Of any integer dtype.

    Raises
    ------
    IndexError
        If an index lies outside.
    """
    for (block,) in blocks([indices], [indices.dtype]):
        done = native.fill(sums, block)
        for start in range(done, len(block), BLOCK):
            inside = from_the_start(block[start : start + BLOCK], len(sums))
            check_all_done(native.fill(sums, inside), inside, len(sums))


def add_at_weighted(sums: NDArray[Any], indices: NDArray[Any], addends: NDArray[Any]) -> None:
    """Add the addends, int64 or float64 as `sums`, at their indices. Integer sums wrap around, as NumPy's do.

    Raises
    ------
    IndexError
        If an index lies outside.
    """
    for block, its in blocks([indices, addends], [indices.dtype, sums.dtype]):
        done, _ = native.fill_weighted(sums, block, its)
        for start in range(done, len(block), BLOCK):
            inside = from_the_start(block[start : start + BLOCK], len(sums))
            done, _ = native.fill_weighted(sums, inside, its[start : start + BLOCK])
            check_all_done(done, inside, len(sums))


def from_the_start(indices: NDArray[Any], cells: int) -> NDArray[Any]:
    """The indices with negative ones counted from the end."""
    if indices.dtype.kind == "u":
        return indices  # int64 does not hold all of uint64
    wide = indices.astype(np.int64)
    wide[wide < 0] += cells
    return wide


def check_all_done(done: int, indices: NDArray[Any], cells: int) -> None:
    """Raise IndexError if only some indices, of which none is negative but those outside, have been counted."""
    if done < len(indices):
        index = int(indices[done])
        raise IndexError(
            f"index {index if index >= 0 else index - cells} is out of bounds for axis 0 with size {cells}"
        )
