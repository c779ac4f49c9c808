"""`add_at` and `increment`: counting into an array that is there."""

from __future__ import annotations

from contextvars import Context, copy_context
from typing import Any

import numpy as np
from numpy import ndarray
from numpy.typing import ArrayLike, NDArray

from parcount._native.dispatch import add_in_place, dispatch
from parcount.engine.run import count
from parcount.engine.threads import choose_execution
from parcount.kernels.add_at import KERNEL
from parcount.kernels.job import cuts
from parcount.kernels.slices import Slices

MOST_CELLS_AN_INDEX = 4
"""More cells than this for each index, and private tables cost more than they spare: NumPy adds in place."""


@dispatch(np.add.at, "threads", size_argument=1, required=3)
def add_at(a: NDArray[Any], indices: Any, b: ArrayLike = 1, *, threads: int | None = None) -> None:
    """Add `b` to the cells at `indices`, each as often as it is named: `numpy.add.at` on all cores.

    Parameters
    ----------
    a : ndarray
        What is added to, in place.
    indices : array_like of int, slice, or tuple of these
        Where.
    b : array_like, optional
        What; broadcast to the indices' shape.
    threads : int, optional
        How many threads; as many as pay off by default, at most `get_num_threads`.

    Raises
    ------
    IndexError
        If an index lies outside; nothing has been added then.
    TypeError, ValueError
        As NumPy.

    Notes
    -----
    O(len(indices) + len(a)) time; each worker has a table of 8 bytes a cell of `a`, and for a while one more of at most
    ``max(16384, len(a))``. The GIL is released throughout. Integers come round at their dtype's limit, as in NumPy.

    That holds for what is counted most: a one-dimensional array of integers or float64, one-dimensional indices, and
    for integers a number or int64 array `b` of the same dtype, for float64 a float64 array. All else NumPy adds, as it
    does where `a` is much longer than `indices`.

    Sums of floats may differ from NumPy's in their last bits, for each worker adds up its own part first; they are the
    same from call to call for one number of workers.

    Examples
    --------
    >>> import numpy as np, parcount as pc
    >>> a = np.zeros(3, int)
    >>> pc.add_at(a, [0, 2, 2])
    >>> a
    array([1, 0, 2])
    """
    if (job := _job(a, indices, b)) is None:
        np.add.at(a, indices, b)
        return
    sums = count(job, KERNEL, choose_execution(job.size, threads, None))
    if job.weights is None:
        number = int(b)  # type: ignore[arg-type] # `_job` has seen to that
        sums *= np.int64(number - (1 << 64) if number >= 1 << 63 else number)  # comes round, as one by one it would
    a += sums.astype(a.dtype)


def _job(a: Any, indices: Any, b: Any) -> Slices | None:
    """The job, or None if it is not one for the compiled loops."""
    if type(a) is not ndarray or type(indices) not in (ndarray, list) or not a.flags.writeable:
        return None
    where = np.asarray(indices)
    if a.ndim != 1 or where.ndim != 1 or where.dtype.kind not in "iu" or where.dtype == np.uint64:
        return None
    if len(a) > MOST_CELLS_AN_INDEX * len(where):
        return None
    if a.dtype.kind in "iu":
        limits = np.iinfo(a.dtype)
        if (type(b) is int and limits.min <= b <= limits.max) or type(b) is a.dtype.type:
            return Slices([where], None, (len(a),))
        wanted = np.int64
    else:
        wanted = np.float64  # type: ignore[assignment]
    if type(b) is ndarray and b.shape == where.shape and b.dtype.type is wanted is a.dtype.type:
        return Slices([where], b, (len(a),))
    return None


@dispatch(add_in_place, "threads", required=1)
def increment(a: NDArray[Any], by: ArrayLike = 1, *, threads: int | None = None) -> None:
    """Add to every cell, in place: ``a += by`` on all cores.

    Parameters
    ----------
    a : ndarray
        What is added to.
    by : array_like, optional
        A number, or an array that broadcasts to `a`.
    threads : int, optional
        How many threads; as many as pay off by default, at most `get_num_threads`.

    Raises
    ------
    TypeError, ValueError, OverflowError
        As NumPy.

    Notes
    -----
    O(a.size) time, bound by memory; no memory of its own. It is NumPy's own addition, with the GIL released, of a part
    in each thread. Where `a` is not contiguous, or `by` overlaps it or has another shape, one thread does everything.

    Examples
    --------
    >>> import numpy as np, parcount as pc
    >>> a = np.arange(3)
    >>> pc.increment(a)
    >>> a
    array([1, 2, 3])
    """
    number = np.ndim(by) == 0
    if type(a) is not ndarray or not a.flags.c_contiguous or not (number or _alongside(a, by)):
        np.add(a, by, out=a)
        return
    on = choose_execution(a.size, threads, None)
    cells, addends = a.reshape(-1), np.reshape(by, -1)
    on.map(
        _add,
        [
            (copy_context(), cells[start:stop], by if number else addends[start:stop])
            for start, stop in cuts(a.size, on.workers)
        ],
    )


def _alongside(a: NDArray[Any], by: Any) -> bool:
    """Whether `by` can be cut where `a` is: it has its shape, and none of its memory."""
    return type(by) is ndarray and by.shape == a.shape and by.flags.c_contiguous and not np.may_share_memory(a, by)


def _add(part: tuple[Context, NDArray[Any], Any]) -> None:
    context, cells, addends = part
    context.run(np.add, cells, addends, out=cells)  # what the caller's np.errstate says holds here too
