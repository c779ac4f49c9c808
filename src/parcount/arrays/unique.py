"""`unique_counts` and `value_counts`: the distinct values and their counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy import unique_counts as numpy_unique_counts
from numpy.lib.array_utils import normalize_axis_index
from numpy.typing import ArrayLike, NDArray

from parcount._native.dispatch import direct_unique_counts, dispatch
from parcount.engine.run import run
from parcount.engine.threads import choose_execution
from parcount.execution.base import Execution
from parcount.kernels.blocks import as_uint8, flat
from parcount.kernels.distinct_rows import DistinctRows, ascending, count_rows, mostly_distinct
from parcount.kernels.unique_counts import distinct_job

if TYPE_CHECKING:

    class UniqueCountsResult(NamedTuple):
        """The values, and the count of each."""

        values: NDArray[Any]
        counts: NDArray[np.intp]

else:
    UniqueCountsResult = type(numpy_unique_counts(np.arange(1)))  # NumPy has no public name for it

BYTES_PER_ELEMENT = 4
"""Bytes of strings and of rows that take about as long to count as one integer."""


@dispatch(numpy_unique_counts, direct_unique_counts)
def unique_counts(
    x: ArrayLike,
    *,
    axis: int | None = None,
    sorted: bool = True,  # noqa: A002 - as in `numpy.unique`
    threads: int | None = None,
    on: Execution | None = None,
) -> UniqueCountsResult:
    """Find the distinct values of an array and the count of each: `numpy.unique_counts` on all cores.

    Parameters
    ----------
    x : array_like
        The array, of any shape.
    axis : int, optional
        The axis whose items are the values: 0 for the rows of a table, for example. Each value is then an array of the
        other axes, and they ascend in the order of their first elements, then of the next. By default the values are
        the elements.
    sorted : bool, optional
        Whether the values must be ascending. If not, they may be in any order, which can be faster.
    threads : int, optional
        Number of threads. The default is as many as pay off, at most `get_num_threads`.
    on : Execution, optional
        The execution that runs the call, instead of `threads`.

    Returns
    -------
    values : ndarray of the dtype of `x`
        Each value once: in one dimension, or with `axis` along that axis.
    counts : ndarray of intp, 1 dimension
        The count of each value. The two form a named tuple, of NumPy's type.

    Raises
    ------
    TypeError
        If `on` is not an execution, or `axis` is given for an array of another library. Otherwise as NumPy.
    ValueError
        If both `threads` and `on` are given, or `threads` is less than 1, or there is no such axis. Otherwise as NumPy.

    Notes
    -----
    O(len(x)) time if the range of the values is no longer than `x`, or there are at most 2**18 distinct ones; else
    O(len(x) log(len(x))). That holds for integers, booleans, dates, durations, and floats of up to 64 bits. As in
    NumPy, each NaN and each NaT is a value of its own, behind all others. If there are zeros of both signs, their value
    is 0.0.

    Strings of fixed width (dtypes ``S`` and ``U``), and with `axis` values of these dtypes, are counted in hash tables,
    and the u distinct ones sorted: O(n + u log(u)) time for n bytes in total. If most strings of a sample are distinct,
    NumPy sorts them all. NumPy counts all other dtypes, `numpy.dtypes.StringDType` and complex numbers among them, and
    with `axis` floats and dates if there is a NaN, a NaT or a -0.0. The result with `axis` is that of
    ``numpy.unique(x, axis=axis, return_counts=True, equal_nan=False)``.

    The result takes 16 u bytes for u distinct values. For n elements of b bytes a worker takes, beside its own 16 u:
    n + n / 16 bytes, but at least 2**16, for a small range; 24 MB for few distinct values; otherwise a copy of the
    elements that it counts, with 7 % and 2**25 bytes more; 64 n bytes if n < 2**17. No more than about 2**26 elements
    are copied at a time. To merge the results takes another 32 u. The GIL is released while the values are counted.

    For strings and for `axis` the result takes w + 8 bytes for each distinct value of w bytes. A worker takes, beside
    its own result, 2.5 w + 96 bytes for each, and 2**21 bytes; to merge the results takes as much once more, and to
    sort them 4 w.

    For a dask array the result is lazy and ascending, as from ``dask.array.unique(x, return_counts=True)``, except that
    each NaN is a value of its own, as in NumPy's function. See `bincount`, also for arrays of other libraries.

    If another thread changes `x` during the call, the counts are wrong, but no memory outside the tables is written.

    Examples
    --------
    >>> import parcount as pc
    >>> values, counts = pc.unique_counts([30, 10, 30])
    >>> values, counts
    (array([10, 30]), array([1, 2]))
    >>> values, counts = pc.unique_counts([[3, 1], [2, 5], [3, 1]], axis=0)
    >>> values.tolist(), counts.tolist()
    ([[2, 5], [3, 1]], [1, 2])
    """
    if isinstance(x, np.ndarray) and type(x) is not np.ndarray:
        return _by_numpy(x, axis)
    array = np.asarray(x)
    if axis is not None:
        axis = normalize_axis_index(axis, array.ndim)
        if array.ndim > 1:
            return _unique_along(array, axis, sorted, threads, on)
    keys = _keys_of(array)
    if keys is None or not array.size:
        found = None
        if array.size and array.itemsize and array.dtype.kind in "SU":
            strings = flat(array, "K")
            if not mostly_distinct(strings):
                found = _distinct_rows(strings, array.nbytes, sorted, threads, on)
        if found is None:
            return _by_numpy(array, None)
        values, counts = found
        return UniqueCountsResult(values.ravel(), counts)
    execution = choose_execution(array.size, threads, on)
    bits_only = array.dtype.kind in "fmM"
    job, kernel = distinct_job(flat(keys, "K"), sorted or bits_only or execution.concurrency > 1, execution.concurrency)
    values, counts = run(job, kernel, execution)
    if bits_only:
        values, counts = _in_order(values, counts, array.dtype)
    if array.dtype.kind in "bSU":
        values = values.astype(keys.dtype, copy=False).view(array.dtype)
    return UniqueCountsResult(values.astype(array.dtype, copy=False), counts.astype(np.intp, copy=False))


def _unique_along(
    array: NDArray[Any], axis: int, ordered: bool, threads: int | None, on: Execution | None
) -> UniqueCountsResult:
    """`unique_counts` along an axis of an array of several dimensions."""
    dtype = array.dtype
    found = None
    if array.size and (dtype.kind in "biuSU" or (dtype.kind in "fmM" and dtype.itemsize <= 8)) and dtype.itemsize:
        rows = np.moveaxis(as_uint8(array).view(np.bool_) if dtype.kind == "b" else array, axis, 0)
        found = _distinct_rows(rows, rows.nbytes, ordered, threads, on)
    if found is None:
        return _by_numpy(array, axis)
    values, counts = found
    return UniqueCountsResult(np.moveaxis(values.reshape(-1, *rows.shape[1:]), 0, axis), counts)


def _distinct_rows(
    rows: NDArray[Any], size: int, ordered: bool, threads: int | None, on: Execution | None
) -> tuple[NDArray[Any], NDArray[np.intp]] | None:
    """The distinct rows, each flat, and their counts; None if equality is not that of all bytes."""
    execution = choose_execution(size // BYTES_PER_ELEMENT, threads, on)
    found, counts = run(DistinctRows([rows]), count_rows, execution)
    values = found.view(rows.dtype.newbyteorder("="))
    kind = rows.dtype.kind
    if kind in "mM" and np.isnat(values).any():
        return None
    if kind == "f" and (np.isnan(values) | ((values == 0) & np.signbit(values))).any():
        return None
    if ordered:
        order = ascending(values)
        values, counts = values[order], counts[order]
    return values.astype(rows.dtype, copy=False), counts.astype(np.intp, copy=False)


def _by_numpy(x: NDArray[Any], axis: int | None) -> UniqueCountsResult:
    if axis is None:
        return UniqueCountsResult(*numpy_unique_counts(x))
    return UniqueCountsResult(*np.unique(x, axis=axis, return_counts=True, equal_nan=False))


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
    x: ArrayLike,
    *,
    axis: int | None = None,
    sort: bool = True,
    threads: int | None = None,
    on: Execution | None = None,
) -> ValueCountsResult:
    """Find the distinct values of an array and the count of each, the most frequent first.

    Parameters
    ----------
    x : array_like
        The array, of any shape.
    axis : int, optional
        The axis whose items are the values, as for `unique_counts`. By default the values are the elements.
    sort : bool, optional
        Whether the values are in the order of their counts, descending, and those of equal counts ascending. If not,
        all values are ascending.
    threads : int, optional
        Number of threads. The default is as many as pay off, at most `get_num_threads`.
    on : Execution, optional
        The execution that runs the call, instead of `threads`.

    Returns
    -------
    values : ndarray of the dtype of `x`
        Each value once: in one dimension, or with `axis` along that axis.
    counts : ndarray of intp, 1 dimension
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
    values, counts = (
        unique_counts(x, threads=threads, on=on)
        if axis is None
        else unique_counts(x, axis=axis, threads=threads, on=on)
    )
    if not sort:
        return ValueCountsResult(values, counts)
    if hasattr(values, "map_blocks"):  # of dask, in one block
        return ValueCountsResult(
            values.map_blocks(_by_count, counts, dtype=values.dtype),
            counts.map_blocks(_by_count, counts, dtype=counts.dtype),
        )
    return ValueCountsResult(_by_count(values, counts, axis or 0), _by_count(counts, counts))


def _by_count(items: NDArray[Any], counts: NDArray[Any], axis: int = 0) -> NDArray[Any]:
    """The items in the order of their counts, descending."""
    return np.take(items, np.argsort(-counts, kind="stable"), axis)


def _keys_of(array: NDArray[Any]) -> NDArray[Any] | None:
    """Integers that are equal where the elements are, but for zeros and NaN; None if there are none."""
    dtype = array.dtype
    if dtype.kind in "iu":
        return array
    if dtype.kind == "b":
        return as_uint8(array)
    if (dtype.kind == "S" and dtype.itemsize in (1, 2, 4, 8)) or (dtype.kind == "U" and dtype.itemsize == 4):
        return array.view(np.dtype(f"u{dtype.itemsize}").newbyteorder(dtype.byteorder if dtype.kind == "U" else ">"))
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
