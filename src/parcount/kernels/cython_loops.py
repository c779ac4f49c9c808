"""The compiled loops: the kernels of the array functions. Those named ``…_gil`` run the same loop and keep the GIL."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import float64
from numpy.typing import NDArray

from parcount._native import bincount as native_bincount
from parcount._native import histogram as native_histogram
from parcount._native import increment as native_increment
from parcount._native import tally as native_tally
from parcount.kernels.blocks import blocks, floating
from parcount.kernels.job import Counts, grown

tally, tally_gil = native_tally.released, native_tally.held
increment, increment_gil = native_increment.released, native_increment.held


def bincount(counts: Counts, keys: NDArray[Any], grow: bool = False, *, release: bool = True) -> Counts:
    """Count how often each key occurs.

    Parameters
    ----------
    counts : ndarray of int64
        The table.
    keys : ndarray
        Of any integer dtype.
    grow : bool, optional
        Whether a longer table is made for a key that needs it.
    release : bool, optional
        Whether to release the GIL.

    Returns
    -------
    ndarray of int64
        The table.

    Raises
    ------
    ValueError
        If a key is negative, or without `grow` not less than the table's length.
    MemoryError
        If there is no memory for a table that long.
    """
    for (block,) in blocks([keys], [keys.dtype]):
        done = native_bincount.fill(counts, block, release=release)
        while done < len(block):
            counts = grown(counts, block[done:], grow)
            done += native_bincount.fill(counts, block[done:], release=release)
    return counts


def bincount_gil(counts: Counts, keys: NDArray[Any], grow: bool = False) -> Counts:
    """`bincount` with the GIL."""
    return bincount(counts, keys, grow, release=False)


def histogram(counts: Counts, values: NDArray[Any], edges: NDArray[float64]) -> None:
    """Count the values, of any real dtype, between ascending edges; the last bin holds its upper edge too."""
    if not len(counts) or len(edges) != len(counts) + 1:
        raise ValueError(f"{len(counts)} bins need {len(counts) + 1} edges, not {len(edges)}")
    search = native_histogram.BinSearch(edges, floating(values) == np.float32)
    for (block,) in blocks([values], [floating(values)]):
        search.count(counts, block)


def histogram_gil(counts: Counts, values: NDArray[Any], edges: NDArray[float64]) -> None:
    """`histogram` of contiguous float32 or float64 values."""
    native_histogram.held(counts, values, edges)
