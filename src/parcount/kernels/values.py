"""Numbers counted between any ascending edges: each bin from its edge to the next, the last with both of its edges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parcount._native.histogram import BinSearch
from parcount.kernels.blocks import BLOCK, blocks
from parcount.kernels.job import Kernel, table

Sums = NDArray[Any]
"""Counts as int64; sums of weights as float64 or complex128."""


KERNEL = Kernel("parcount.kernels.values:counted")


def counted(columns: Sequence[NDArray[Any]], weights: NDArray[Any] | None, edges: NDArray[np.float64]) -> Sums:
    """Count the values in the one column into a table of its own.

    Parameters
    ----------
    columns, weights
        As in `Slices`; the values of any real dtype, the weights real or complex.
    edges : ndarray
        Ascending.

    Returns
    -------
    ndarray of int64, float64 or complex128
        One cell a bin.
    """
    (values,) = columns
    search = BinSearch(np.ascontiguousarray(edges))
    double = np.dtype(np.float64)
    real = np.dtype(np.float32) if values.dtype.type is np.float32 else double
    if weights is None:
        counts = table(search.bins)
        for (block,) in blocks([values], [real]):
            search.count(counts, block)
        return counts
    sums = table(search.bins, double)
    if weights.dtype.kind != "c":
        for block, its in blocks([values, weights], [real, double]):
            search.weigh(sums, block, its)
        return sums
    imaginary = table(search.bins, double)
    for block, its, others in blocks([values, weights.real, weights.imag], [real, double, double]):
        search.weigh(sums, block, its)
        search.weigh(imaginary, block, others)
    return sums + 1j * imaginary


def extent(values: NDArray[Any]) -> tuple[Any, Any]:
    """The least and the greatest value, in one pass; NaN if there is one.

    Examples
    --------
    >>> least, greatest = extent(np.array([3, 1, 2]))
    >>> int(least), int(greatest)
    (1, 3)
    """
    pieces = (np.asarray(values[start : start + BLOCK]) for start in range(0, len(values), BLOCK))
    both = [(piece.min(), piece.max()) for piece in pieces]  # the second reads what the first has put into the cache
    return np.min([least for least, _ in both]), np.max([greatest for _, greatest in both])
