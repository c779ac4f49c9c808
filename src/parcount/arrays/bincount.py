"""`bincount`: the number of occurrences of each non-negative integer."""

from __future__ import annotations

import sys
from operator import index
from typing import Any, SupportsIndex

import numpy as np
from numpy import bincount as numpy_bincount  # a name of its own: ours may stand in NumPy's place
from numpy.typing import ArrayLike, NDArray

from parcount._native.dispatch import dispatch_bincount
from parcount.arrays.bincount_axis import bincount_along
from parcount.arrays.out import accumulate, check_out
from parcount.engine.run import run
from parcount.engine.shared_table import count_in_shared_table, has_shared_table
from parcount.engine.threads import choose_execution
from parcount.execution.base import Execution
from parcount.kernels import cython_loops
from parcount.kernels.bincount import bincount_job, bincount_weighted, trimmed
from parcount.kernels.blocks import as_uint8
from parcount.kernels.job import Slices
from parcount.kernels.shared_table import class_for, take_keys

MIN_KEYS_PER_BIN = 8
"""Keys for each bin from which private tables pay (``bench/peers.py``: 20 million keys, 2^24 bins)."""

MAX_COPIED_BINS = 1 << 16
"""Bins up to which the result is copied out of the longer table in which it was counted."""

NOT_GIVEN: Any = np._NoValue
"""As in NumPy's signatures, where None means all axes."""


@dispatch_bincount(numpy_bincount)
def bincount(
    x: ArrayLike,
    /,
    weights: ArrayLike | None = None,
    minlength: int = 0,
    *,
    axis: SupportsIndex | None = NOT_GIVEN,
    maxlength: SupportsIndex | None = None,
    out: NDArray[Any] | None = None,
    threads: int | None = None,
    on: Execution | None = None,
) -> NDArray[Any]:
    """Count the occurrences of each value in an array of non-negative integers: `numpy.bincount` on all cores.

    Parameters
    ----------
    x : array_like, 1 dimension, or any number with `axis`, of any integer dtype or bool
        The keys. Unlike in NumPy they may be of uint64; smaller dtypes are not widened.
    weights : array_like, same shape as `x`, optional
        What each key adds, instead of one. With `axis`: of a shape that can be broadcast to that of `x`; or of one
        dimension, with a weight for each position along the axis, as in `numpy.average`.
    minlength : int, optional
        The minimum length of the result, or of its axis `axis`.
    axis : int or None, optional
        The keys along this axis are counted, for each position along the others: ``axis=-1`` counts each row of a
        matrix, ``axis=0`` each column. None counts all keys. NumPy has no such argument; without it, `x` must have one
        dimension, as in NumPy.
    maxlength : int, optional
        The maximum length of the result: keys that are not less are left out, as if the result were cut there. It wins
        over `minlength`. NumPy has no such argument.
    out : ndarray, optional
        The counts are added to this array, so that data that arrives in pieces is counted without temporaries. It has
        the shape of the result, of any length along `axis`. It is of any integer dtype, or of a floating one with
        `weights`. Keys must be less than its length, unless `maxlength` leaves them out.
    threads : int, optional
        Number of threads. The default is as many as pay off, at most `get_num_threads`.
    on : Execution, optional
        The execution that runs the call, instead of `threads`.

    Returns
    -------
    ndarray of int64, or of float64 with `weights`
        Cell k holds the count of key k. Its length is the largest key plus one, but at least `minlength`. `out`, if it
        is given. With `axis`: the shape of `x` with that axis replaced by the bins, as many as the largest of all keys
        needs.

    Raises
    ------
    TypeError
        If `x` is not of integers, `weights` cannot be cast to float64 safely, or `minlength` is not an integer, as
        NumPy. If `axis` or `maxlength` is not an integer, or is given for an array of another library or of dask. If
        `out` is not an array or has another kind of dtype, or `on` is not an execution.
    ValueError
        If a key is negative, `x` does not have one dimension, or `weights` has another shape, as NumPy. If `x` has no
        such axis (`numpy.exceptions.AxisError`), or `maxlength` is negative. If a key does not fit into `out`, or `out`
        is read-only. If both `threads` and `on` are given, or `threads` is less than 1.
    OverflowError
        If a count does not fit into the dtype of `out`, which is then unchanged.
    MemoryError, ValueError
        If the largest key needs more bins than there is memory for.

    Notes
    -----
    One pass: O(len(x) + bins) time. At most ``8 * bins`` bytes for the result, and for each worker ``8 * bins`` and
    ``max(16384, bins)``, with `bins` rounded up to a power of two, or from 2**20 on by a 64th. Input that is not
    contiguous or not in native byte order is converted 2**18 elements at a time. The GIL is released while the keys are
    counted, except for arrays of fewer than 2**14 elements, which are counted at once.

    From 2**18 bins on, threads share one table of counts, and each has ``bins`` bytes instead. From 2**23 bins on, or
    2**22 with `weights`, keys of 4 or 8 bytes are first partitioned by range, which takes less time than the cache
    misses that it saves: at most ``max(2**23, 4 * bins)`` keys at a time in 2 bytes each, or half as many with weights
    in 10, and for each thread a 64th of the table, or with weights a 12th. Keys with one frequent value, and sorted
    keys, are not partitioned.

    With `axis` or `maxlength` the keys are read once more before, for the largest, unless `out` is given. The lines
    along the axis are divided among the threads, or if they are few each of them is; a thread takes 2**18 bytes, or
    then ``8 * bins`` more. Sums of a line that one thread adds up are NumPy's in every bit. Input of 3 dimensions and
    more that is not contiguous is copied, and so are weights that are not of float64.

    Sums of floating `weights` may differ from NumPy's in their last bits, because each worker adds up its own part
    first: by at most ``len(x) * eps`` times the sum of the absolute weights, as with any order. They are the same in
    each call with the same number of workers. Those of partitioned keys are NumPy's.

    Where no threads can be started, at the system's limit or while Python ends, the calling thread counts, also with
    ``on=Threads(n)``. `Threads` with an initializer raise the system's RuntimeError. The same holds for all functions.

    If another thread changes `x` during the call, the counts are wrong, but no memory outside the tables is written.

    Arrays of other libraries: if the type of an argument has an ``__array_function__`` of its own (NEP 18), the call
    goes to NumPy's function, and so to that type. `threads` and `on` are left out, as they do not change the result;
    `out` is a TypeError. This holds for all functions that stand for one of NumPy's.

    Dask arrays: the result is lazy, as from `dask.array.bincount`, and ``split_every=`` may be given. Each task counts
    a block by the same loops, on one thread of its scheduler, and the counts are merged in a tree. parcount must be
    installed where the tasks run. `out`, `threads` and `on` are a TypeError.

    Examples
    --------
    >>> import parcount as pc
    >>> pc.bincount([0, 1, 1, 3])
    array([1, 2, 0, 1])
    >>> pc.bincount([0, 1, 1], weights=[0.5, 1, 2])
    array([0.5, 3. ])
    >>> pc.bincount([[0, 1, 1], [2, 2, 0]], axis=-1)
    array([[1, 2, 0],
           [1, 0, 2]])
    >>> pc.bincount([0, 1, 7, 1], maxlength=3)
    array([1, 2, 0])
    """
    if axis is not NOT_GIVEN or maxlength is not None:
        if axis is NOT_GIVEN and np.ndim(x) != 1:
            raise ValueError(f"x has {np.ndim(x)} dimensions: give axis= to count along one of them")
        return bincount_along(x, weights, minlength, 0 if axis is NOT_GIVEN else axis, maxlength, out, threads, on)
    if (job := _job(x, weights, minlength, out)) is None:
        sums: NDArray[Any] = numpy_bincount(x, weights, minlength)
    else:
        bins = job.bins or 0
        pays = bins * MIN_KEYS_PER_BIN <= job.size or class_for(job.arrays, bins, 2)
        execution = choose_execution(job.size if pays else 0, threads, on)
        kind = class_for(job.arrays, bins, execution.concurrency) if has_shared_table(execution) else None
        if kind:
            table = np.zeros(bins, job.dtype)
            sums, used = count_in_shared_table(table, job.arrays, kind, take_keys, execution, grow=out is None)
            sums = sums[: max(used, index(minlength))] if out is None else sums
        else:
            sums = run(job, cython_loops.bincount if weights is None else bincount_weighted, execution)
            if weights is None and out is None:
                sums = trimmed(sums, index(minlength))
        if sums.base is not None and len(sums) <= MAX_COPIED_BINS:
            sums = sums.copy()
    if out is None:
        return sums
    if len(sums) > len(out):
        raise ValueError(f"out has {len(out)} cells, fewer than minlength {minlength}")
    accumulate(out, sums)
    return out


def _job(x: ArrayLike, weights: ArrayLike | None, minlength: int, out: NDArray[Any] | None) -> Slices | None:
    """The job, or None if NumPy has the result, or the error: the compiled loops do not support the arguments."""
    if out is not None:
        check_out(out, (None,), np.int64 if weights is None else np.float64)
    keys = np.asarray(x)
    if keys.ndim != 1 or keys.dtype.kind not in "iub" or not len(keys):
        return None
    if isinstance(minlength, bool) or not hasattr(minlength, "__index__") or not 0 <= index(minlength) <= sys.maxsize:
        return None
    if weights is not None:
        weights = np.asarray(weights)
        if weights.shape != keys.shape or not np.can_cast(weights.dtype, np.float64):
            return None
    if keys.dtype.kind == "b":
        keys = as_uint8(keys)
    return bincount_job(keys, weights, index(minlength), None if out is None else len(out))
