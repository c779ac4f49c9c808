"""The job `bincount`: count non-negative integer keys, whose largest is not known beforehand.

NumPy reads all keys to find the largest, then reads them again to count them. Here the largest of a sample sizes the
table, and only if a key is larger are the keys that follow searched for their largest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from parcount._native import bincount as native
from parcount.kernels import numpy_loops
from parcount.kernels.blocks import blocks
from parcount.kernels.job import Slices, grown

SAMPLE = 256
"""Keys read to size a table: few enough to cost nothing beside a million."""

EXACT_FROM = 1 << 20
"""Bins from which the size of a table is not rounded up to a power of two."""


def estimate_bins(keys: NDArray[Any]) -> int:
    """Estimate how many bins the keys need: somewhat more than the largest of a sample.

    Examples
    --------
    >>> estimate_bins(np.array([3, 1000, 5])), estimate_bins(np.array([64_000_000]))
    (1024, 65000001)
    """
    if not len(keys):
        return 0
    if keys.dtype.itemsize == 1:
        return int(np.iinfo(keys.dtype).max) + 1
    largest = max(0, int(np.maximum.reduce(keys[:: max(1, len(keys) // SAMPLE)])))
    return 1 << largest.bit_length() if largest < EXACT_FROM else largest + largest // 64 + 1


def bincount_job(
    keys: NDArray[Any], weights: NDArray[Any] | None = None, minlength: int = 0, length: int | None = None
) -> Slices:
    """The job of counting `keys`, or of adding up `weights` by key.

    Its tables may be longer than the largest key needs: see `trimmed`.

    Parameters
    ----------
    keys : ndarray, 1 dimension
        Of any integer dtype.
    weights : ndarray, optional
        Of a dtype that can be cast to float64.
    minlength : int, optional
        The least length of the tables.
    length : int, optional
        Their length, unless `minlength` is more; a key that is not less is then an error.
    """
    bins = max(minlength, estimate_bins(keys) if length is None else length)
    grow = length is None
    if weights is None:
        return Slices((keys,), (grow,), bins, reference=numpy_loops.bincount)
    return Slices((keys, weights), (grow, minlength if grow else bins), bins, np.float64)


def bincount_weighted(
    sums: NDArray[np.float64], keys: NDArray[Any], weights: NDArray[Any], grow: bool, minlength: int
) -> NDArray[np.float64]:
    """Add each key's weight to its cell.

    Parameters
    ----------
    sums : ndarray of float64
        The table.
    keys : ndarray
        Of any integer dtype.
    weights : ndarray
        As many.
    grow : bool
        Whether a longer table is made for a key that needs it.
    minlength : int
        The least length of the result.

    Returns
    -------
    ndarray of float64
        As long as the largest key needs, but at least `minlength`.

    Raises
    ------
    ValueError
        If a key is negative, or without `grow` not less than the table's length.
    """
    used = minlength
    for block in blocks([keys, weights], [keys.dtype, np.dtype(np.float64)]):
        done = 0
        while True:
            more, needed = native.fill_weighted(sums, block[0][done:], block[1][done:])
            done += more
            used = max(used, needed)
            if done == len(block[0]):
                break
            sums = grown(sums, block[0][done:], grow)
    return sums[:used]


def trimmed(counts: NDArray[np.int64], minlength: int) -> NDArray[np.int64]:
    """The counts up to the last that is not zero, but at least `minlength` of them.

    Examples
    --------
    >>> trimmed(np.array([0, 2, 0, 0]), 0)
    array([0, 2])
    """
    stop = len(counts)
    while stop > minlength:
        start = max(minlength, stop - SAMPLE)
        (positions,) = counts[start:stop].nonzero()
        if len(positions):
            return counts[: start + int(positions[-1]) + 1]
        stop = start
    return counts[:minlength]
