"""`histogramdd` and `histogram2d`: how many rows lie in each cell of several axes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import histogram2d as numpy_histogram2d  # names of their own: ours may stand in NumPy's place
from numpy import histogramdd as numpy_histogramdd
from numpy.typing import ArrayLike, NDArray

from parcount._native.dispatch import dispatch
from parcount.arrays.histogram import between, float64_serves
from parcount.engine.run import count, pieces
from parcount.engine.threads import choose_execution
from parcount.execution.base import Execution
from parcount.kernels.histogramdd import KERNEL
from parcount.kernels.slices import Slices

MOST_CELLS_A_ROW = 4
"""Private tables of more cells than this for each row cost more than other workers spare."""


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
    """Count the rows that lie in each cell of several axes: `numpy.histogramdd` on all cores.

    Parameters
    ----------
    sample : ndarray, shape (N, D), or sequence of D array_likes of length N
        The rows, or their columns. Columns of float32 or float64 are not copied.
    bins : int, or sequence of D ints or arrays, optional
        How many bins each axis has, or their edges.
    range : sequence of D (float, float) or None, optional
        From where to where each axis goes; from its least to its greatest value by default.
    density : bool, optional
        Divide by the total and by each cell's volume.
    weights : array_like, shape (N,), optional
        What each row adds, instead of one.
    threads : int, optional
        How many threads; as many as pay off by default, at most `get_num_threads`.
    on : Execution, optional
        Who runs it, in place of `threads`.

    Returns
    -------
    H : ndarray of float64, D dimensions
        The counts.
    edges : tuple of D ndarrays
        As NumPy returns them.

    Raises
    ------
    TypeError, ValueError
        As NumPy.

    Notes
    -----
    O(N * D + cells) time; each worker has a table of 8 bytes a cell, where every axis has two bins more than asked
    for, and takes up to 4 MB for uneven edges. Columns that are not contiguous are converted 2**18 rows at a time. The
    GIL is released throughout. Dtypes other than integers, float32 and float64 are left to NumPy. Sums of `weights`
    may differ from NumPy's in their last bits; they are the same from call to call for one number of workers.

    Dask arrays give what `dask.array.histogramdd` does, lazily: see `bincount`.

    Examples
    --------
    >>> import parcount as pc
    >>> counts, edges = pc.histogramdd([[1, 2, 2], [5, 7, 7]], bins=2)
    >>> counts
    array([[1., 0.],
           [0., 2.]])
    """
    columns = _columns(sample)
    heavy = None if weights is None else np.asarray(weights)
    if columns is None or not _suit(columns, heavy):
        return numpy_histogramdd(sample, bins, range, density, weights)
    edges = _edges(columns, bins, range, threads)
    if not all(float64_serves(column, its) for column, its in zip(columns, edges, strict=True)):
        return numpy_histogramdd(sample, bins, range, density, weights)
    job = Slices(columns, heavy, ([its.astype(np.float64) for its in edges],))
    cells = np.prod([len(its) + 1.0 for its in edges])
    size = job.size * len(columns)
    on = choose_execution(size if cells <= MOST_CELLS_A_ROW * job.size else 0, threads, on)
    counts = count(job, KERNEL, on, shares=pieces(job.size, int(cells), on))
    hist = counts.astype(float)
    if density:
        total = hist.sum()
        for axis, its in enumerate(edges):
            widths = np.diff(its)
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
    """Count the points that lie in each cell of two axes: `numpy.histogram2d` on all cores.

    Parameters
    ----------
    x, y : array_like, shape (N,)
        The points' coordinates. float32 and float64 are not copied.
    bins : int, array, or (int or array, int or array), optional
        How many bins both axes have, or their edges; or those of each.
    range : ((float, float), (float, float)), optional
        From where to where each axis goes; from its least to its greatest value by default.
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
        As NumPy.

    Notes
    -----
    As for `histogramdd`; of dask arrays, as `dask.array.histogram2d`.

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
    """The columns, without a copy; None if NumPy is to make sense of the sample."""
    if isinstance(sample, np.ndarray):
        return [sample[:, axis] for axis in range(sample.shape[1])] if sample.ndim == 2 else None
    if hasattr(sample, "shape") or not isinstance(sample, list | tuple):
        return None
    columns = [np.asarray(column) for column in sample]
    common = np.result_type(*columns) if columns else None
    # NumPy puts them into one array first, of one dtype; where that says anything else than its parts, it is NumPy's.
    return columns if all(column.ndim == 1 and column.dtype == common for column in columns) else None


def _suit(columns: list[NDArray[Any]], weights: NDArray[Any] | None) -> bool:
    """Whether these are for the compiled loops."""
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
    """The edges, from NumPy, which is shown two rows for the whole: the least and the greatest values."""
    dtype = columns[0].dtype
    given = range is not None and len(range) == len(columns)
    ends = [
        (dtype.type(0), dtype.type(0)) if given and range[axis] is not None else between(column, threads)
        for axis, column in enumerate(columns)
    ]
    return numpy_histogramdd(np.array(ends, dtype).T, bins, range)[1]  # a tuple, or in some versions a list
