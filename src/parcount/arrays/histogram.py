"""`histogram`: the number of values in each bin."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import histogram as numpy_histogram  # a name of its own: ours may stand in NumPy's place
from numpy.typing import ArrayLike, NDArray

from parcount._native.dispatch import direct_histogram, dispatch
from parcount.arrays.bin_rules import bin_edges
from parcount.arrays.out import accumulate, check_out
from parcount.engine.run import run
from parcount.engine.threads import choose_execution
from parcount.execution.base import Execution
from parcount.kernels import cython_loops
from parcount.kernels.blocks import flat
from parcount.kernels.histogram import ValueRange, histogram_job, histogram_weighted, value_range

MAX_FLOAT32_BINS = 1 << 16
"""NumPy computes the bin of a float32 in float32. With more bins it is not always the one that the edges define."""


@dispatch(numpy_histogram, direct_histogram)
def histogram(
    a: ArrayLike,
    bins: Any = 10,
    range: tuple[float, float] | None = None,  # noqa: A002 - NumPy's name
    density: bool | None = None,
    weights: ArrayLike | None = None,
    *,
    out: NDArray[Any] | None = None,
    threads: int | None = None,
    on: Execution | None = None,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Count the values in each bin: `numpy.histogram` on all cores.

    A bin includes its left edge and not its right one; the last bin includes both. Values out of range, and NaN, are
    not counted. Each value is compared with the edges exactly, as in NumPy.

    Parameters
    ----------
    a : array_like
        The values, of any shape. float32 is not widened.
    bins : int, sequence or str, optional
        The number of bins of equal width, or their edges, or the name of one of NumPy's rules for their number.
    range : (float, float), optional
        The first and the last edge. The default is the minimum and the maximum, which takes a pass of its own.
    density : bool, optional
        Divide by the total and by each bin's width.
    weights : array_like, same shape as `a`, optional
        What each value adds, real or complex, instead of one.
    out : ndarray, 1 dimension, one cell a bin, optional
        The counts are added to this array: of any integer dtype, or a floating or complex one with `weights`.
    threads : int, optional
        Number of threads. The default is as many as pay off, at most `get_num_threads`.
    on : Execution, optional
        The execution that runs the call, instead of `threads`.

    Returns
    -------
    hist : ndarray of int64, of the dtype of `weights`, or of float64 with `density`
        One cell a bin; `out`, if it is given.
    bin_edges : ndarray
        The edges, one more than there are bins.

    Raises
    ------
    TypeError
        If `out` is not an array or has another kind of dtype, or `on` is not an execution. Otherwise as NumPy.
    ValueError
        If `out` is read-only, has not one cell a bin, or is given together with `density`. If both `threads` and `on`
        are given, or `threads` is less than 1. Otherwise as NumPy.
    OverflowError
        If a sum does not fit into the dtype of `out`, which is then unchanged.

    Notes
    -----
    O(a.size) time, with a binary search only among edges that are equal or nearly so. Each worker takes at most
    ``104 * bins + 40000`` bytes, and to search uneven edges at most 5 MB and 256 bytes a bin. Input that is not
    contiguous is converted 2**18 elements at a time. The GIL is released while the values are counted.

    The names of rules for `bins` are NumPy's. The number of bins is found on all cores, in O(a.size) time and with 3 %
    of the memory of `a`; with "stone" in O(a.size log(a.size)) time and with a copy of `a`. Values of which some are
    out of `range`, or that are not contiguous, are copied too. The number equals NumPy's: where rounding could change
    it, NumPy computes it.

    float16, longdouble and other dtypes are counted by NumPy.

    Sums of floating `weights` may differ from NumPy's in their last bits, because they are added in another order. They
    are the same in each call with the same number of workers.

    For a dask array the result is lazy, as from `dask.array.histogram`; see `bincount`, also for arrays of other
    libraries.

    Examples
    --------
    >>> import parcount as pc
    >>> counts, edges = pc.histogram([1, 2, 1], bins=[0, 1, 2, 3])
    >>> counts
    array([0, 2, 1])
    """
    if out is not None and density:
        raise ValueError("density= and out= cannot be combined: the total is not known before all data is counted")
    values = np.asarray(a)
    addends = None if weights is None else np.asarray(weights)
    edges = None
    if are_supported(values, addends) and not (isinstance(bins, str) and addends is not None):  # NumPy refuses that
        # The rules add values up in NumPy's order.
        column = flat(values, "K" if addends is None and not isinstance(bins, str) else "C")
        edges = _edges(column, bins, range, threads)
    if edges is None or not _equal_numpys(values, addends, bins, edges):
        hist, edges = numpy_histogram(a, bins, range, None if out is not None else density, weights)
    else:
        job = histogram_job(column, edges, None if addends is None else flat(addends))
        kernel = cython_loops.histogram if addends is None else histogram_weighted
        hist = run(job, kernel, choose_execution(values.size, threads, on))
        if addends is not None:
            # With uneven edges NumPy takes differences of cumulative sums, which are in native byte order.
            hist = hist.astype(addends.dtype if _uniform(bins) else addends.dtype.newbyteorder("="))
        if density:
            return hist / np.array(np.diff(edges), float) / hist.sum(), edges
        hist = hist.copy() if hist.base is not None else hist
    if out is None:
        return hist, edges
    check_out(out, hist.shape, hist.dtype)
    accumulate(out, hist)
    return out, edges


def are_supported(values: NDArray[Any], weights: NDArray[Any] | None) -> bool:
    """Whether the compiled loops support them."""
    if not values.size or not (values.dtype.kind in "iu" or values.dtype.type in (np.float32, np.float64)):
        return False
    return weights is None or (
        weights.shape == values.shape
        and (weights.dtype.kind in "iu" or weights.dtype.type in (np.float32, np.float64, np.complex64, np.complex128))
    )


def _uniform(bins: Any) -> bool:
    return isinstance(bins, str) or np.ndim(bins) == 0


def _edges(
    values: NDArray[Any],
    bins: Any,
    range: tuple[float, float] | None,  # noqa: A002
    threads: int | None,
) -> NDArray[Any]:
    """The edges, which NumPy computes from the extremes, or from nothing but `range`."""
    if isinstance(bins, str):
        return bin_edges(values, bins, range, threads)
    if range is not None or not _uniform(bins):
        return np.histogram_bin_edges(values[:0], bins, range)
    return np.histogram_bin_edges(np.array(extremes(values, threads), values.dtype), bins)


def extremes(values: NDArray[Any], threads: int | None) -> tuple[Any, Any]:
    """The minimum and the maximum."""
    ends: tuple[Any, Any] = run(ValueRange([values]), value_range, choose_execution(len(values), threads, None))
    return ends


def compare_as_float64(values: NDArray[Any], edges: NDArray[Any]) -> bool:
    """Whether values compare with the edges as float64 as they do, in NumPy, with the edges as they are."""
    if len(edges) < 2 or edges.dtype.kind not in "iuf" or edges.dtype.itemsize not in (1, 2, 4, 8):
        return False
    if np.isnan(edges).any() or edges.dtype == np.float16:
        return False
    integers = (values.dtype.itemsize == 8 and values.dtype.kind in "iu") or edges.dtype.kind in "iu"
    # Beyond 53 bits float64 does not hold all integers.
    return not (integers and max(abs(float(edges[0])), abs(float(edges[-1]))) >= 1 << 53)


def _equal_numpys(values: NDArray[Any], weights: NDArray[Any] | None, bins: Any, edges: NDArray[Any]) -> bool:
    """Whether the compiled loops give NumPy's result."""
    if not compare_as_float64(values, edges):
        return False
    if _uniform(bins) and values.dtype == np.float32 and len(edges) > MAX_FLOAT32_BINS:
        return False
    # With uneven edges NumPy adds integers as integers, which is exact beyond the 53 bits of a float64.
    return _uniform(bins) or weights is None or weights.dtype.kind not in "iu" or weights.dtype.itemsize < 8
