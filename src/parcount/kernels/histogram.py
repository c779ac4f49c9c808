"""The job `histogram`: count values between ascending edges, exactly as `numpy.histogram` does.

Each bin holds its lower edge and not its upper one; the last bin holds both. A bin index that is computed is rounded,
so a value close to an edge may land one bin off: like NumPy, every variant then compares it with the edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parcount._native.histogram import BinSearch
from parcount.kernels import numpy_loops
from parcount.kernels.blocks import BLOCK, blocks, floating
from parcount.kernels.job import Slices, table


def histogram_job(values: NDArray[Any], edges: NDArray[Any], weights: NDArray[Any] | None = None) -> Slices:
    """The job of counting `values` between `edges`, or of adding up their real or complex `weights`."""
    edges = np.ascontiguousarray(edges, np.float64)
    bins = len(edges) - 1
    if weights is None:
        return Slices((values,), (edges,), bins, reference=numpy_loops.histogram)
    return Slices((values, weights), (edges,), bins, np.float64)


def histogram_weighted(
    sums: NDArray[np.float64], values: NDArray[Any], weights: NDArray[Any], edges: NDArray[np.float64]
) -> NDArray[Any] | None:
    """Add each value's weight to its bin.

    Returns
    -------
    ndarray of complex128 or None
        The sums of complex weights; others are in `sums`.
    """
    search = BinSearch(edges, floating(values) == np.float32)
    real, double = floating(values), np.dtype(np.float64)
    if weights.dtype.kind != "c":
        for block, addends in blocks([values, weights], [real, double]):
            search.weigh(sums, block, addends)
        return None
    imaginary = table(search.bins, double)
    for block, addends, others in blocks([values, weights.real, weights.imag], [real, double, double]):
        search.weigh(sums, block, addends)
        search.weigh(imaginary, block, others)
    return sums + 1j * imaginary


class ValueRange(Slices):
    """The job of finding the least and the greatest value; NaN if there is one."""

    def merge(self, partials: Sequence[Any]) -> tuple[Any, Any]:
        """The least and the greatest of all parts that are not empty."""
        least, greatest = zip(*(partial for partial in partials if partial), strict=True)
        return np.minimum.reduce(least), np.maximum.reduce(greatest)


def value_range(_: None, values: NDArray[Any]) -> tuple[Any, Any] | tuple[()]:
    """The least and the greatest value, read once; NaN if there is one; nothing if there are no values.

    Examples
    --------
    >>> least, greatest = value_range(None, np.array([3, 1, 2]))
    >>> int(least), int(greatest)
    (1, 3)
    """
    if not len(values):
        return ()
    pieces = (np.asarray(values[start : start + BLOCK]) for start in range(0, len(values), BLOCK))
    # The second pass reads the cache. `reduce` works when Python ends and the methods `min` and `max` no longer import.
    least, greatest = zip(*((np.minimum.reduce(piece), np.maximum.reduce(piece)) for piece in pieces), strict=True)
    return np.minimum.reduce(least), np.maximum.reduce(greatest)
