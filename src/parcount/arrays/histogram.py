"""`histogram`: how many values lie in each bin."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import histogram as numpy_histogram  # a name of its own: ours may stand in NumPy's place
from numpy.typing import ArrayLike, NDArray

from parcount._native.dispatch import dispatch
from parcount.arrays.out import accumulate, check_out
from parcount.engine.run import count, pieces
from parcount.engine.threads import choose_execution
from parcount.execution.base import Execution
from parcount.kernels.blocks import flat
from parcount.kernels.job import cuts
from parcount.kernels.slices import Slices
from parcount.kernels.values import KERNEL, extent

MOST_FLOAT32_BINS = 1 << 16
"""NumPy computes a float32's bin in float32: with more, it is no longer the one that the edges say."""


@dispatch(numpy_histogram)
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
    """Count the values that lie in each bin: `numpy.histogram` on all cores.

    All but the last bin hold their left edge and not their right one; the last holds both. Values outside, and NaN,
    are not counted. The edges decide, to the last bit, as in NumPy.

    Parameters
    ----------
    a : array_like
        The values, of any shape. float32 is not widened.
    bins : int, sequence or str, optional
        How many bins of equal width, or their edges, or the name of a rule that NumPy has for their number.
    range : (float, float), optional
        From where to where; from the least to the greatest value by default, for which these are looked up first.
    density : bool, optional
        Divide by the total and by each bin's width.
    weights : array_like, same shape as `a`, optional
        What each value adds, real or complex, instead of one.
    out : ndarray, 1 dimension, one cell a bin, optional
        Where to add the counts to what there is: of any integer dtype, or a floating or complex one with `weights`.
    threads : int, optional
        How many threads; as many as pay off by default, at most `get_num_threads`.
    on : Execution, optional
        Who runs it, in place of `threads`.

    Returns
    -------
    hist : ndarray of int64, of the dtype of `weights`, or of float64 with `density`
        One cell a bin. With `out`: that.
    bin_edges : ndarray
        One more than there are bins.

    Raises
    ------
    TypeError, ValueError
        As NumPy. If `out` does not suit, or is given together with `density`.
    OverflowError
        If a count would pass the limit of `out`'s dtype; `out` is left as it was.

    Notes
    -----
    O(a.size) time if the edges are equally spaced, or spaced by a factor; a binary search among the edges that lie very
    close together otherwise. Besides the result each worker takes at most ``104 * bins + 40000`` bytes, and at most
    4 MB for finding places among uneven edges. Input that is not contiguous is converted 2**18 elements at a time. The
    GIL is released throughout. float16, longdouble and other dtypes are left to NumPy.

    Sums of floating `weights` may differ from NumPy's in their last bits, for their order does; they are the same from
    call to call for one number of workers.

    A dask array gives what `dask.array.histogram` does, lazily: see `bincount`.

    Examples
    --------
    >>> import parcount as pc
    >>> counts, edges = pc.histogram([1, 2, 1], bins=[0, 1, 2, 3])
    >>> counts
    array([0, 2, 1])
    """
    if out is not None and density:
        raise ValueError("density divides by a total that out= does not have yet: give one of the two")
    values = np.asarray(a)
    heavy = None if weights is None else np.asarray(weights)
    edges = None
    if _ours(values, heavy):
        column = flat(values, "K" if heavy is None else "C")
        edges = _edges(column, bins, range, heavy, threads)
    if edges is None or not _same_as_numpys(values, heavy, bins, edges):
        hist, edges = numpy_histogram(a, bins, range, None if out is not None else density, weights)
    else:
        job = Slices([column], None if heavy is None else flat(heavy), (edges.astype(np.float64),))
        on = choose_execution(values.size, threads, on)
        hist = count(job, KERNEL, on, shares=pieces(values.size, len(edges) - 1, on))
        if heavy is not None:
            # Where NumPy takes differences, of sums at uneven edges, they come out in native byte order.
            hist = hist.astype(heavy.dtype if _uniform(bins) else heavy.dtype.newbyteorder("="))
        if density:
            return hist / np.array(np.diff(edges), float) / hist.sum(), edges
        hist = hist.copy() if hist.base is not None else hist
    if out is None:
        return hist, edges
    check_out(out, len(hist), hist.dtype)
    accumulate(out, hist)
    return out, edges


def _ours(values: NDArray[Any], weights: NDArray[Any] | None) -> bool:
    """Whether these are for the compiled loops."""
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
    weights: NDArray[Any] | None,
    threads: int | None,
) -> NDArray[Any]:
    """The edges, from NumPy; it is shown no more values than it needs for them."""
    if isinstance(bins, str):
        return np.histogram_bin_edges(values, bins, range, weights)
    if range is not None or not _uniform(bins):
        return np.histogram_bin_edges(values[:0], bins, range)
    return np.histogram_bin_edges(np.array(between(values, threads), values.dtype), bins)


def between(values: NDArray[Any], threads: int | None) -> tuple[Any, Any]:
    """The least and the greatest value, looked up by threads."""
    on = choose_execution(len(values), threads, None)
    both = on.map(extent, [values[start:stop] for start, stop in cuts(len(values), on.concurrency) if start < stop])
    return np.min([least for least, _ in both]), np.max([greatest for _, greatest in both])


def float64_serves(values: NDArray[Any], edges: NDArray[Any]) -> bool:
    """Whether values lie between float64 edges just as they lie, for NumPy, between these."""
    if len(edges) < 2 or edges.dtype.kind not in "iuf" or edges.dtype.itemsize not in (1, 2, 4, 8):
        return False
    if np.isnan(edges).any() or edges.dtype == np.float16:
        return False
    integers = (values.dtype.itemsize == 8 and values.dtype.kind in "iu") or edges.dtype.kind in "iu"
    # Beyond 53 bits float64 does not hold all integers.
    return not (integers and max(abs(float(edges[0])), abs(float(edges[-1]))) >= 1 << 53)


def _same_as_numpys(values: NDArray[Any], weights: NDArray[Any] | None, bins: Any, edges: NDArray[Any]) -> bool:
    """Whether the compiled loops go by what NumPy goes by."""
    if not float64_serves(values, edges):
        return False
    if _uniform(bins) and values.dtype == np.float32 and len(edges) > MOST_FLOAT32_BINS:
        return False
    # NumPy adds up in integers between uneven edges, which is exact beyond float64's 53 bits.
    return _uniform(bins) or weights is None or weights.dtype.kind not in "iu" or weights.dtype.itemsize < 8
