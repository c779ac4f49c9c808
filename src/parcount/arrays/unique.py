"""`unique_counts`: which values occur, and how often each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import unique_counts as numpy_unique_counts
from numpy.typing import ArrayLike

from parcount._native.dispatch import dispatch
from parcount.engine.run import count
from parcount.engine.threads import choose_execution
from parcount.execution.base import Execution
from parcount.kernels.blocks import as_uint8, flat
from parcount.kernels.unique_counts import distinct

Result: Any = type(numpy_unique_counts(np.arange(1)))
"""The named tuple that NumPy returns, which it does not name in public."""


@dispatch(numpy_unique_counts)
def unique_counts(
    x: ArrayLike,
    *,
    sorted: bool = True,  # noqa: A002 - as in `numpy.unique`
    threads: int | None = None,
    on: Execution | None = None,
) -> Any:
    """Find the different values in an array, and how often each occurs: `numpy.unique_counts` on all cores.

    Parameters
    ----------
    x : array_like
        Of any shape.
    sorted : bool, optional
        Whether the values must be ascending; without, they may be in any order, and sometimes sooner there.
    threads : int, optional
        How many threads; as many as pay off by default, at most `get_num_threads`.
    on : Execution, optional
        Who runs it, in place of `threads`.

    Returns
    -------
    values : ndarray, 1 dimension, of the dtype of `x`
        Each value once.
    counts : ndarray of intp, same shape
        How often each occurs. The two are a named tuple.

    Notes
    -----
    O(len(x)) time where the values are no further apart than there are elements, or are at most 2**18 different ones;
    else O(len(x) log(len(x))).

    For u different values the result takes 16 u bytes. A worker that has n elements of b bytes takes, beside its 16 u,
    in the first case n + n / 16 bytes, but at least 2**16; else 24 MB; in the last 64 u bytes and 2**23 b more. To
    put two workers' results together takes another 32 u. The GIL is released throughout.

    That holds for integers and booleans. All other dtypes NumPy counts.

    A dask array gives what ``dask.array.unique(x, return_counts=True)`` does, lazily and ascending: see `bincount`.
    Each NaN is a value of its own, as it is for NumPy here.

    Another thread that changes `x` meanwhile makes the counts wrong, but nothing outside the tables is written.

    Examples
    --------
    >>> import parcount as pc
    >>> values, counts = pc.unique_counts([30, 10, 30])
    >>> values, counts
    (array([10, 30]), array([1, 2]))
    """
    if isinstance(x, np.ndarray) and type(x) is not np.ndarray:
        return numpy_unique_counts(x)
    array = np.asarray(x)
    if array.dtype.kind not in "iub" or not array.size:
        return numpy_unique_counts(array)
    keys = flat(as_uint8(array) if array.dtype.kind == "b" else array, "K")
    execution = choose_execution(array.size, threads, on)
    job, kernel = distinct(keys, sorted or execution.concurrency > 1, execution.concurrency)
    values, counts = count(job, kernel, execution)
    values = values.view(np.bool_) if array.dtype.kind == "b" else values.astype(array.dtype, copy=False)
    return Result(values, counts.astype(np.intp, copy=False))
