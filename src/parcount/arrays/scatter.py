"""`add_at` and `increment`: adding to an array in place."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray
from numpy.typing import ArrayLike, NDArray

from parcount._native.dispatch import dispatch_add_at, dispatch_increment, refuse_dask
from parcount.engine.run import run
from parcount.engine.shared_table import count_in_shared_table, has_shared_table
from parcount.engine.threads import choose_execution
from parcount.kernels import add_at as kernels
from parcount.kernels import numpy_loops
from parcount.kernels.add_at import add_at_weighted
from parcount.kernels.increment import increment_job
from parcount.kernels.job import Slices
from parcount.kernels.shared_table import class_for, take_indices

MAX_CELLS_PER_INDEX = 4
"""Cells for each index up to which private tables pay; NumPy adds in place."""


@dispatch_add_at
def add_at(a: NDArray[Any], indices: Any, b: ArrayLike = 1, *, threads: int | None = None) -> None:
    """Add `b` to the cells at `indices`, once for each occurrence of an index: `numpy.add.at` on all cores.

    Parameters
    ----------
    a : ndarray
        The array to add to, in place.
    indices : array_like of int, slice, or tuple of these
        The cells.
    b : array_like, optional
        What to add; it is broadcast to the shape of the indices.
    threads : int, optional
        Number of threads. The default is as many as pay off, at most `get_num_threads`.

    Raises
    ------
    IndexError
        If an index is out of bounds. Nothing has been added then.
    TypeError
        If an argument is a dask array. Otherwise as NumPy.
    ValueError
        If `threads` is less than 1. Otherwise as NumPy.

    Notes
    -----
    O(len(indices) + len(a)) time. Each worker has a table of 8 bytes a cell of `a`, and for a while one more of at most
    ``max(16384, len(a))`` bytes. The GIL is released while the indices are counted. Large `a` are counted in one table
    for all workers, as in `bincount`.

    That holds for one-dimensional `indices` and a one-dimensional `a`: of integers if `b` is an integer or an array of
    integers, or of float64 if `b` is an array of float64. For other arguments, and where `a` is more than four times as
    long as `indices`, the call is NumPy's, with a copy of the indices.

    Integers are added to integers exactly, modulo 2**bits of the dtype of `a`, for arrays of any size. NumPy adds an
    int64 to a uint64 through float64, which rounds above 2**53.

    Sums of floats may differ from NumPy's in their last bits, because each worker adds up its own part first. They are
    the same in each call with the same number of workers.

    If another thread changes `indices` during the call, the sums are wrong, but nothing outside `a` is written.

    Examples
    --------
    >>> import numpy as np, parcount as pc
    >>> a = np.zeros(3, int)
    >>> pc.add_at(a, [0, 2, 2])
    >>> a
    array([1, 0, 2])
    """
    if (job := _job(a, indices, b)) is None:
        refuse_dask(a, indices, b)
        np.add.at(a, _private(indices), _of_the_dtype(a, b))
        return
    weighted = len(job.arrays) > 1
    execution = choose_execution(job.size, threads, None)
    kind = class_for(job.arrays, len(a), execution.concurrency) if has_shared_table(execution) else None
    if kind:
        sums, _ = count_in_shared_table(np.zeros(len(a), job.dtype), job.arrays, kind, take_indices, execution)
    else:
        sums = run(job, add_at_weighted if weighted else kernels.add_at, execution)
    if not weighted:
        sums *= np.asarray(b).astype(np.int64)  # wraps, as repeated addition would
    a += sums.astype(a.dtype)


def _job(a: Any, indices: Any, b: Any) -> Slices | None:
    """The job, or None if the compiled loops do not support the arguments."""
    if type(a) is not ndarray or type(indices) not in (ndarray, list) or not a.flags.writeable:
        return None
    where = np.asarray(indices)
    if a.ndim != 1 or where.ndim != 1 or where.dtype.kind not in "iu" or where.dtype == np.uint64:
        return None
    if len(a) > MAX_CELLS_PER_INDEX * len(where) or abs(a.strides[0]) < a.itemsize:
        return None
    if a.dtype.kind in "iu" and _is_integer(b):
        return Slices([where], bins=len(a))
    if type(b) is not ndarray or b.shape != where.shape:
        return None
    supported = b.dtype.kind in "iu" if a.dtype.kind in "iu" else b.dtype.type is np.float64 is a.dtype.type
    dtype = np.float64 if b.dtype.kind == "f" else np.int64  # uint64 wraps as int64 does
    return Slices([where, b], bins=len(a), dtype=dtype) if supported else None


def _is_integer(b: Any) -> bool:
    return isinstance(b, np.integer) or (type(b) is int and -(1 << 63) <= b < 1 << 64)


def _private(indices: Any) -> Any:
    """The indices in memory that no other thread can change: NumPy checks them first, and reads them again to add."""
    if isinstance(indices, ndarray):
        return indices.copy()
    return tuple(map(_private, indices)) if isinstance(indices, tuple) else indices


def _of_the_dtype(a: Any, b: Any) -> Any:
    """Integers as those of `a`, so that NumPy does not add uint64 to int64 through float64."""
    if not isinstance(a, ndarray) or a.dtype.kind not in "iu":
        return b
    if type(b) is int and a.dtype.kind == "i" and -(1 << 63) <= b < 1 << 63:
        return b
    integers = _is_integer(b) or (isinstance(b, ndarray) and b.dtype.kind in "iu")
    return np.asarray(b).astype(a.dtype) if integers else b


@dispatch_increment
def increment(a: NDArray[Any], by: ArrayLike = 1, *, threads: int | None = None) -> None:
    """Add to every cell, in place: ``a += by`` on all cores.

    Parameters
    ----------
    a : ndarray
        The array to add to.
    by : array_like, optional
        A number, or an array that broadcasts to `a`.
    threads : int, optional
        Number of threads. The default is as many as pay off, at most `get_num_threads`.

    Raises
    ------
    TypeError
        If an argument is a dask array. Otherwise as NumPy.
    ValueError
        If `threads` is less than 1. Otherwise as NumPy.
    OverflowError
        As NumPy.

    Notes
    -----
    O(a.size) time, limited by memory bandwidth; no additional memory. Each thread adds a part by NumPy's own addition,
    which releases the GIL. If `a` is not contiguous, or `by` is an array in another order, one thread adds all.

    Examples
    --------
    >>> import numpy as np, parcount as pc
    >>> a = np.arange(3)
    >>> pc.increment(a)
    >>> a
    array([1, 2, 3])
    """
    addends = _addends(a, by) if type(a) is ndarray else None
    if addends is None:
        refuse_dask(a, by)
        np.add(a, by, out=a)
        return
    number = type(addends) is not ndarray
    if not a.flags.c_contiguous:
        axes = sorted(range(a.ndim), key=lambda axis: -abs(a.strides[axis]))
        a, addends = a.transpose(axes), addends if number else addends.transpose(axes)
    if a.flags.c_contiguous and (number or addends.flags.c_contiguous):
        job = increment_job(a.reshape(-1), addends if number else addends.reshape(-1))
        run(job, numpy_loops.increment, choose_execution(a.size, threads, None))
    else:
        numpy_loops.increment(a, addends)


def _addends(a: NDArray[Any], by: Any) -> Any:
    """`by`, if it is a number, or as an array of the shape of `a` that shares no memory with it; else None."""
    if isinstance(by, (int, float, complex, np.generic)):
        return by
    if type(by) is not ndarray or by.ndim > a.ndim:
        return None
    if not all(size in (1, cells) for size, cells in zip(by.shape[::-1], a.shape[::-1], strict=False)):
        return None
    by = by.copy() if np.may_share_memory(a, by) else by
    return by if by.shape == a.shape else np.broadcast_to(by, a.shape)
