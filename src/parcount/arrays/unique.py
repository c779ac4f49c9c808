"""`unique_counts`: the distinct values and their counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy import unique_counts as numpy_unique_counts
from numpy.typing import ArrayLike, NDArray

from parcount._native.dispatch import direct_unique_counts, dispatch
from parcount.engine.run import run
from parcount.engine.threads import choose_execution
from parcount.execution.base import Execution
from parcount.kernels.blocks import as_uint8, flat
from parcount.kernels.unique_counts import distinct_job

if TYPE_CHECKING:

    class UniqueCountsResult(NamedTuple):
        """The values, and the count of each."""

        values: NDArray[Any]
        counts: NDArray[np.intp]

else:
    UniqueCountsResult = type(numpy_unique_counts(np.arange(1)))  # NumPy has no public name for it


@dispatch(numpy_unique_counts, direct_unique_counts)
def unique_counts(
    x: ArrayLike,
    *,
    sorted: bool = True,  # noqa: A002 - as in `numpy.unique`
    threads: int | None = None,
    on: Execution | None = None,
) -> UniqueCountsResult:
    """Find the distinct values of an array and the count of each: `numpy.unique_counts` on all cores.

    Parameters
    ----------
    x : array_like
        The array, of any shape.
    sorted : bool, optional
        Whether the values must be ascending. If not, they may be in any order, which can be faster.
    threads : int, optional
        Number of threads. The default is as many as pay off, at most `get_num_threads`.
    on : Execution, optional
        The execution that runs the call, instead of `threads`.

    Returns
    -------
    values : ndarray, 1 dimension, of the dtype of `x`
        Each value once.
    counts : ndarray of intp, same shape
        The count of each value. The two form a named tuple, of NumPy's type.

    Raises
    ------
    TypeError
        If `on` is not an execution. Otherwise as NumPy.
    ValueError
        If both `threads` and `on` are given, or `threads` is less than 1. Otherwise as NumPy.

    Notes
    -----
    O(len(x)) time if the range of the values is no longer than `x`, or there are at most 2**18 distinct ones; else
    O(len(x) log(len(x))). That holds for integers and booleans; NumPy counts all other dtypes.

    The result takes 16 u bytes for u distinct values. For n elements of b bytes a worker takes, beside its own 16 u:
    n + n / 16 bytes, but at least 2**16, for a small range; 24 MB for few distinct values; otherwise 64 u bytes and
    2**23 b more; 64 n bytes if n < 2**17. To merge the results of two workers takes another 32 u. The GIL is released
    while the values are counted.

    For a dask array the result is lazy and ascending, as from ``dask.array.unique(x, return_counts=True)``, except that
    each NaN is a value of its own, as in NumPy's function. See `bincount`, also for arrays of other libraries.

    If another thread changes `x` during the call, the counts are wrong, but no memory outside the tables is written.

    Examples
    --------
    >>> import parcount as pc
    >>> values, counts = pc.unique_counts([30, 10, 30])
    >>> values, counts
    (array([10, 30]), array([1, 2]))
    """
    if isinstance(x, np.ndarray) and type(x) is not np.ndarray:
        return UniqueCountsResult(*numpy_unique_counts(x))
    array = np.asarray(x)
    if array.dtype.kind not in "iub" or not array.size:
        return UniqueCountsResult(*numpy_unique_counts(array))
    keys = flat(as_uint8(array) if array.dtype.kind == "b" else array, "K")
    execution = choose_execution(array.size, threads, on)
    job, kernel = distinct_job(keys, sorted or execution.concurrency > 1, execution.concurrency)
    values, counts = run(job, kernel, execution)
    values = values.view(np.bool_) if array.dtype.kind == "b" else values.astype(array.dtype, copy=False)
    return UniqueCountsResult(values, counts.astype(np.intp, copy=False))
