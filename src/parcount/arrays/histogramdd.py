"""`histogramdd` and `histogram2d`: the number of rows in each cell of several axes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import histogram2d as numpy_histogram2d  # names of their own: ours may stand in NumPy's place
from numpy import histogramdd as numpy_histogramdd
from numpy.typing import ArrayLike, NDArray

from parcount._native.dispatch import dispatch
from parcount.arrays.histogram import compare_as_float64, extremes
from parcount.engine.run import run
from parcount.engine.threads import choose_execution
from parcount.execution.base import Execution
from parcount.kernels import histogramdd as kernels
from parcount.kernels.histogramdd import histogramdd_job, without_outside

MAX_CELLS_PER_ROW = 4
"""Cells for each row up to which private tables pay."""


@dispatch(numpy_histogramdd)
def histogramdd(
    sample: Any,
    bins: Any = 10,
    range: Any = None,  # noqa: A002 - NumPy's name
    density: bool | None = None,
    weights: ArrayLike | None = None,
    *,
    threads: int | None = None,
    on: Execution | None = None,
) -> tuple[NDArray[np.float64], tuple[NDArray[Any], ...]]:
    """Count the rows in each cell of several axes: `numpy.histogramdd` on all cores.

    Parameters
    ----------
    sample : ndarray, shape (N, D), or sequence of D array_likes of length N
        The rows, or their columns. Columns of float32 or float64 are not copied.
    bins : int, or sequence of D ints or arrays, optional
        The number of bins of each axis, or their edges.
    range : sequence of D (float, float) or None, optional
        The range of each axis. The default is from its minimum to its maximum.
    density : bool, optional
        Divide by the total and by each cell's volume.
    weights : array_like, shape (N,), optional
        What each row adds, instead of one.
    threads : int, optional
        Number of threads. The default is as many as pay off, at most `get_num_threads`.
    on : Execution, optional
        The execution that runs the call, instead of `threads`.

    Returns
    -------
    H : ndarray of float64, D dimensions
        The counts.
    edges : tuple of D ndarrays
        As NumPy returns them.

    Raises
    ------
    TypeError
        If `on` is not an execution. Otherwise as NumPy.
    ValueError
        If both `threads` and `on` are given, or `threads` is less than 1. Otherwise as NumPy.

    Notes
    -----
    O(N * D + cells) time. Each worker has a table of 8 bytes a cell, with two more bins on every axis, and up to 5 MB
    and 256 bytes a bin to search uneven edges. Columns that are not contiguous are converted 2**18 rows at a time. The
    GIL is released while the rows are counted. Columns that are not all of one dtype, which must be an integer one,
    float32 or float64, are counted by NumPy. Sums of `weights` may differ from NumPy's in their last bits. They are the
    same in each call with the same number of workers.

    For dask arrays the result is lazy, as from `dask.array.histogramdd`; see `bincount`, also for arrays of other
    libraries.

    Examples
    --------
    >>> import parcount as pc
    >>> counts, edges = pc.histogramdd([[1, 2, 2], [5, 7, 7]], bins=2)
    >>> counts
    array([[1., 0.],
           [0., 2.]])
    """
    columns = _columns(sample)
    addends = None if weights is None else np.asarray(weights)
    if columns is None or not are_supported(columns, addends):
        return numpy_histogramdd(sample, bins, range, density, weights)
    edges = _edges(columns, bins, range, threads)
    if not all(compare_as_float64(column, axis_edges) for column, axis_edges in zip(columns, edges, strict=True)):
        return numpy_histogramdd(sample, bins, range, density, weights)
    job = histogramdd_job(columns, edges, addends)
    cells = np.prod([len(axis_edges) + 1.0 for axis_edges in edges])
    size = job.size * len(columns)
    on = choose_execution(size if cells <= MAX_CELLS_PER_ROW * job.size else 0, threads, on)
    kernel = kernels.histogramdd if addends is None else kernels.histogramdd_weighted
    counts = without_outside(run(job, kernel, on), edges)
    hist = counts.astype(float)
    if density:
        total = hist.sum()
        for axis, axis_edges in enumerate(edges):
            widths = np.diff(axis_edges)
            hist = hist / widths.reshape([-1 if axis == other else 1 for other, _ in enumerate(edges)])
        hist /= total
    return hist, edges


@dispatch(numpy_histogram2d)
def histogram2d(
    x: ArrayLike,
    y: ArrayLike,
    bins: Any = 10,
    range: Any = None,  # noqa: A002 - NumPy's name
    density: bool | None = None,
    weights: ArrayLike | None = None,
    *,
    threads: int | None = None,
    on: Execution | None = None,
) -> tuple[NDArray[np.float64], NDArray[Any], NDArray[Any]]:
    """Count the points in each cell of two axes: `numpy.histogram2d` on all cores.

    Parameters
    ----------
    x, y : array_like, shape (N,)
        The coordinates of the points. float32 and float64 are not copied.
    bins : int, array, or (int or array, int or array), optional
        The number of bins of both axes, or their edges; or those of each axis.
    range : ((float, float), (float, float)), optional
        The range of each axis. The default is from its minimum to its maximum.
    density, weights, threads, on
        As for `histogramdd`.

    Returns
    -------
    H : ndarray of float64, shape (bins of x, bins of y)
        The counts.
    xedges, yedges : ndarray
        As NumPy returns them.

    Raises
    ------
    TypeError, ValueError
        As `histogramdd`.

    Notes
    -----
    As for `histogramdd`. For dask arrays the result is lazy, as from `dask.array.histogram2d`.

    Examples
    --------
    >>> import parcount as pc
    >>> counts, xedges, yedges = pc.histogram2d([1, 2, 2], [5, 7, 7], bins=2)
    >>> counts
    array([[1., 0.],
           [0., 2.]])
    """
    if len(x) != len(y):  # type: ignore[arg-type]
        raise ValueError("x and y must have the same length.")
    try:
        both = len(bins) not in (1, 2)
    except TypeError:
        both = False
    if both:
        bins = [np.asarray(bins)] * 2
    hist, edges = histogramdd([x, y], bins, range, density, weights, threads=threads, on=on)
    return hist, edges[0], edges[1]


def _columns(sample: Any) -> list[NDArray[Any]] | None:
    """The columns, without a copy; None if NumPy counts the sample."""
    if isinstance(sample, np.ndarray):
        return [sample[:, axis] for axis in range(sample.shape[1])] if sample.ndim == 2 else None
    if hasattr(sample, "shape") or not isinstance(sample, list | tuple):
        return None
    columns = [np.asarray(column) for column in sample]
    # NumPy converts them to one array in native byte order. It counts columns that this would change.
    dtypes = {column.dtype for column in columns}
    same = len(dtypes) == 1 and dtypes.pop().isnative
    return columns if same and all(column.ndim == 1 for column in columns) else None


def are_supported(columns: list[NDArray[Any]], weights: NDArray[Any] | None) -> bool:
    """Whether the compiled loops support them."""
    if not columns or len(columns) > 32 or not len(columns[0]) or len({len(column) for column in columns}) > 1:
        return False
    kind, type_ = columns[0].dtype.kind, columns[0].dtype.type
    if kind not in "iu" and type_ not in (np.float32, np.float64):
        return False
    return weights is None or (
        weights.shape == columns[0].shape and weights.dtype.kind in "iuf" and weights.dtype.itemsize in (1, 2, 4, 8)
    )


def _edges(
    columns: list[NDArray[Any]],
    bins: Any,
    range: Any,  # noqa: A002
    threads: int | None,
) -> tuple[NDArray[Any], ...]:
    """The edges, which NumPy computes from two rows: the minima and the maxima."""
    dtype = columns[0].dtype
    given = range is not None and len(range) == len(columns)
    ends = [
        (dtype.type(0), dtype.type(0)) if given and range[axis] is not None else extremes(column, threads)
        for axis, column in enumerate(columns)
    ]
    return numpy_histogramdd(np.array(ends, dtype).T, bins, range)[1]  # a tuple, or in some versions a list
