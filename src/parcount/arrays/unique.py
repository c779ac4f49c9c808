"""`unique_counts` and `value_counts`: the distinct values and their counts."""

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
    O(len(x) log(len(x))). That holds for integers, booleans, dates, durations, and floats of up to 64 bits; NumPy
    counts all other dtypes. As in NumPy, each NaN and each NaT is a value of its own, behind all others. If there are
    zeros of both signs, their value is 0.0.

    The result takes 16 u bytes for u distinct values. For n elements of b bytes a worker takes, beside its own 16 u:
    n + n / 16 bytes, but at least 2**16, for a small range; 24 MB for few distinct values; otherwise a copy of the
    elements that it counts, with 7 % and 2**25 bytes more; 64 n bytes if n < 2**17. No more than about 2**26 elements
    are copied at a time. To merge the results takes another 32 u. The GIL is released while the values are counted.

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
    keys = _keys_of(array)
    if keys is None or not array.size:
        return UniqueCountsResult(*numpy_unique_counts(array))
    execution = choose_execution(array.size, threads, on)
    bits_only = array.dtype.kind in "fmM"
    job, kernel = distinct_job(flat(keys, "K"), sorted or bits_only or execution.concurrency > 1, execution.concurrency)
    values, counts = run(job, kernel, execution)
    if bits_only:
        values, counts = _in_order(values, counts, array.dtype)
    values = values.view(np.bool_) if array.dtype.kind == "b" else values.astype(array.dtype, copy=False)
    return UniqueCountsResult(values, counts.astype(np.intp, copy=False))


class ValueCountsResult(NamedTuple):
    """Distinct values and their counts.

    Attributes
    ----------
    values : ndarray
        Each value once.
    counts : ndarray of intp
        The count of each value.
    """

    values: NDArray[Any]
    counts: NDArray[np.intp]


def value_counts(
    x: ArrayLike, *, sort: bool = True, threads: int | None = None, on: Execution | None = None
) -> ValueCountsResult:
    """Find the distinct values of an array and the count of each, the most frequent first.

    Parameters
    ----------
    x : array_like
        The array, of any shape.
    sort : bool, optional
        Whether the values are in the order of their counts, descending, and those of equal counts ascending. If not,
        all values are ascending.
    threads : int, optional
        Number of threads. The default is as many as pay off, at most `get_num_threads`.
    on : Execution, optional
        The execution that runs the call, instead of `threads`.

    Returns
    -------
    values : ndarray, 1 dimension, of the dtype of `x`
        Each value once.
    counts : ndarray of intp, same shape
        The count of each value. The two form a named tuple.

    Raises
    ------
    TypeError, ValueError
        As `unique_counts`.

    Notes
    -----
    It is `unique_counts`, with its time and memory, and a sort of the counts: O(u log(u)) time and 40 u bytes for u
    distinct values. It has the name and the order of ``pandas.Series.value_counts``, but each NaN and each NaT is a
    value of its own, and none is dropped. Of a dask array the result is lazy.

    Examples
    --------
    >>> import parcount as pc
    >>> values, counts = pc.value_counts([30, 10, 30, 20])
    >>> values, counts
    (array([30, 10, 20]), array([2, 1, 1]))
    """
    values: Any
    counts: Any
    values, counts = unique_counts(x, threads=threads, on=on)
    if not sort:
        return ValueCountsResult(values, counts)
    if hasattr(values, "map_blocks"):  # of dask, in one block
        return ValueCountsResult(
            values.map_blocks(_by_count, counts, dtype=values.dtype),
            counts.map_blocks(_by_count, counts, dtype=counts.dtype),
        )
    return ValueCountsResult(_by_count(values, counts), _by_count(counts, counts))


def _by_count(items: NDArray[Any], counts: NDArray[Any]) -> NDArray[Any]:
    """The items in the order of their counts, descending."""
    ordered: NDArray[Any] = items[np.argsort(-counts, kind="stable")]
    return ordered


def _keys_of(array: NDArray[Any]) -> NDArray[Any] | None:
    """Integers that are equal where the elements are, but for zeros and NaN; None if there are none."""
    dtype = array.dtype
    if dtype.kind in "iu":
        return array
    if dtype.kind == "b":
        return as_uint8(array)
    if dtype.kind in "fmM" and dtype.itemsize <= 8:
        return array.view(np.dtype(f"i{dtype.itemsize}").newbyteorder(dtype.byteorder))
    return None


def _in_order(bits: NDArray[Any], counts: NDArray[Any], dtype: np.dtype[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The values whose bits are given as ascending integers, in NumPy's order, and their counts."""
    first_positive = int(np.searchsorted(bits, 0))
    least = np.iinfo(bits.dtype).min  # the bits of -0.0, and of NaT
    if dtype.kind == "f":
        if first_positive and bits[0] == least and first_positive < len(bits) and bits[first_positive] == 0:
            counts[first_positive] += counts[0]
            bits, counts, first_positive = bits[1:], counts[1:], first_positive - 1
        if first_positive:  # negative floats descend as their bits ascend
            bits = np.concatenate([bits[:first_positive][::-1], bits[first_positive:]])
            counts = np.concatenate([counts[:first_positive][::-1], counts[first_positive:]])
        missing = np.isnan(bits.view(dtype.newbyteorder("=")))
    else:
        missing = bits == least
    if missing.any():
        several = bits[missing].repeat(counts[missing])
        bits = np.concatenate([bits[~missing], several])
        counts = np.concatenate([counts[~missing], np.ones(len(several), counts.dtype)])
    return bits.view(dtype.newbyteorder("=")), counts
