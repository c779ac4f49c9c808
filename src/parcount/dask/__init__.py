"""The array functions for dask arrays: parcount's loops count each block, and the counts are merged in a tree.

Each function calls dask's own function, which checks the arguments and decides on edges, dtype, shape and chunks. Only
the graph that counts is replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import dask.array as da
import numpy as np
from dask.array.utils import meta_from_array
from numpy.typing import NDArray

from parcount.arrays.bincount import bincount as count_keys
from parcount.arrays.histogram import histogram as count_values
from parcount.arrays.histogramdd import histogramdd as count_rows
from parcount.arrays.unique import UniqueCountsResult
from parcount.arrays.unique import unique_counts as count_distinct
from parcount.kernels.unique_counts import KeyCounts, merge_counts

UNKNOWN = ((np.nan,),)
"""The chunks of an array of unknown length."""


def bincount(
    x: Any, /, weights: Any = None, minlength: int = 0, *, split_every: int | None = None, **others: Any
) -> Any:
    """The lazy `parcount.bincount`, with the result of `dask.array.bincount`."""
    for name in others.keys() & {"axis", "maxlength"}:
        raise TypeError(f"bincount() does not take {name}= with a dask array")
    _refuse(others)
    if not isinstance(x, da.Array):
        return np.bincount(x, weights, minlength)
    like = da.bincount(x, weights=weights, minlength=minlength, split_every=split_every)
    arrays = _without_none(x, weights)
    if not _have_numpy_blocks(arrays):
        return like
    return _tables(_keys_in_block, arrays, like, split_every, minlength=minlength)


def histogram(
    a: Any,
    bins: Any = None,
    range: Any = None,  # noqa: A002 - NumPy's name
    density: bool | None = None,
    weights: Any = None,
    **others: Any,
) -> Any:
    """The lazy `parcount.histogram`, with the result of `dask.array.histogram`."""
    _refuse(others)
    if not isinstance(a, da.Array):
        return np.histogram(a, 10 if bins is None else bins, range, density, weights)
    hist, edges = da.histogram(a, bins, range, weights=weights, density=density)
    arrays = _without_none(a, weights)
    if not _have_numpy_blocks(arrays):
        return hist, edges
    like = da.histogram(a, bins, range, weights=weights)[0] if density else hist
    counts = _tables(_values_in_block, arrays, like, bins=bins, range=range)
    return _density(counts, [edges]) if density else counts, edges


def histogramdd(
    sample: Any,
    bins: Any = 10,
    range: Any = None,  # noqa: A002
    density: bool | None = None,
    weights: Any = None,
    **others: Any,
) -> Any:
    """The lazy `parcount.histogramdd`, with the result of `dask.array.histogramdd`."""
    _refuse(others)
    columns = list(sample) if isinstance(sample, list | tuple) else [sample]
    if not any(isinstance(column, da.Array) for column in columns):
        return np.histogramdd(sample, bins, range, density, weights)
    hist, edges = da.histogramdd(sample, bins, range, weights=weights, density=density)
    arrays = _without_none(*columns, weights)
    if not _have_numpy_blocks(arrays):
        return hist, edges
    like = da.histogramdd(sample, bins, range, weights=weights)[0] if density else hist
    settings = {"bins": bins, "range": range, "weighed": weights is not None, "rows": isinstance(sample, da.Array)}
    counts = _tables(_rows_in_block, arrays, like, **settings)
    return _density(counts, edges) if density else counts, edges


def histogram2d(
    x: Any,
    y: Any,
    bins: Any = 10,
    range: Any = None,  # noqa: A002
    density: bool | None = None,
    weights: Any = None,
    **others: Any,
) -> Any:
    """The lazy `parcount.histogram2d`, with the result of `dask.array.histogram2d`."""
    _refuse(others)
    if not (isinstance(x, da.Array) or isinstance(y, da.Array)):
        return np.histogram2d(x, y, bins, range, density, weights)
    hist, edges = histogramdd((x, y), bins, range, density, weights)
    return hist, edges[0], edges[1]


def unique_counts(x: Any, *, sorted: bool = True, **others: Any) -> Any:  # noqa: A002, ARG001 - they always are
    """The lazy `parcount.unique_counts`, with the result of ``dask.array.unique(x, return_counts=True)``."""
    if others.pop("axis", None) is not None:
        raise TypeError("unique_counts() does not take axis= with a dask array")
    _refuse(others)
    if not _have_numpy_blocks([x]):
        return UniqueCountsResult(*da.unique(x, return_counts=True))
    total = _count_blocks(_distinct_in_block, [x], _united, object)
    values = _as_array(_values_of, total, UNKNOWN, np.empty(0, x.dtype), like=x.dtype)
    counts = _as_array(_counts_of, total, UNKNOWN, np.empty(0, np.intp))
    return UniqueCountsResult(values, counts)


def _tables(
    kernel: Callable[..., Any], arrays: Sequence[Any], like: Any, split_every: int | None = None, **settings: Any
) -> Any:
    """The sum of the tables of all blocks, with the dtype, shape and chunks of `like`."""
    total = _count_blocks(kernel, arrays, _summed, like.dtype, split_every, **settings)
    return _as_array(_counts, total, like.chunks, meta_from_array(like))


def _density(counts: Any, edges: Sequence[Any]) -> Any:
    """The counts divided by their total and by the volumes of their bins."""
    volumes = reduce(np.multiply.outer, [np.diff(its).astype(float) for its in edges])
    return counts / da.asarray(volumes, chunks=counts.chunks) / counts.sum()


def _refuse(others: dict[str, Any]) -> None:
    for name, value in others.items():
        if name not in ("out", "threads", "on"):
            raise TypeError(f"got an unexpected keyword argument {name!r}")
        if value is not None:
            raise TypeError(
                f"{name}= is not supported for a dask array: the scheduler decides where each block is counted"
            )


def _without_none(*arrays: Any) -> list[Any]:
    return [array for array in arrays if array is not None]


def _have_numpy_blocks(arrays: Sequence[Any]) -> bool:
    """Whether the blocks are ordinary arrays. Dask counts masked ones, and those on other devices."""
    return arrays[0].ndim > 0 and all(type(meta_from_array(array)) is np.ndarray for array in arrays)


def _count_blocks(
    kernel: Callable[..., Any],
    arrays: Sequence[Any],
    merge: Callable[..., Any],
    dtype: Any,
    split_every: int | None = None,
    **settings: Any,
) -> Any:
    """A graph that counts the blocks and merges the counts, as an array of no dimensions.

    Parameters
    ----------
    kernel : callable
        Counts one block of each array; it is called with the settings.
    arrays : sequence of dask arrays
        Arrays with the same blocks; those of fewer dimensions have those of the first axes.
    merge : callable
        Merges several partial counts into one.
    dtype : data-type
        The dtype of the result, which `merge` is given.
    split_every : int or None
        The number of partial counts merged at a time; dask's setting if None.
    **settings
        The kernel's keywords.
    """
    axes = tuple(range(arrays[0].ndim))
    indices = [each for array in arrays for each in (array, axes[: array.ndim])]
    meta = np.empty((0,) * len(axes), dtype)
    partials = da.blockwise(kernel, axes, *indices, dtype=dtype, meta=meta, align_arrays=False, **settings)
    meta = np.empty((), dtype)
    return da.reduction(partials, _counts, merge, dtype=dtype, split_every=split_every, concatenate=False, meta=meta)


def _as_array(function: Callable[..., Any], total: Any, chunks: Any, meta: NDArray[Any], **settings: Any) -> Any:
    """The array, of one chunk, that a function makes from the merged counts."""
    axes = list(range(len(chunks)))
    return da.map_blocks(function, total, new_axis=axes, chunks=chunks, dtype=meta.dtype, meta=meta, **settings)


def _keys_in_block(x: NDArray[Any], weights: NDArray[Any] | None = None, *, minlength: int) -> NDArray[Any]:
    return count_keys(x, weights, minlength, threads=1)


def _values_in_block(a: NDArray[Any], weights: NDArray[Any] | None = None, *, bins: Any, range: Any) -> NDArray[Any]:  # noqa: A002
    return count_values(a, bins, range, weights=weights, threads=1)[0]


def _rows_in_block(*columns: NDArray[Any], bins: Any, range: Any, weighed: bool, rows: bool) -> NDArray[Any]:  # noqa: A002
    *its, weights = columns if weighed else (*columns, None)
    return count_rows(its[0] if rows else its, bins, range, weights=weights, threads=1)[0]


def _distinct_in_block(x: NDArray[Any]) -> KeyCounts:
    values, counts = count_distinct(x, threads=1)
    return values.astype(values.dtype.newbyteorder("="), copy=False), counts


def _counts(found: Any, **_: Any) -> Any:
    """Return the counts, in a task whose name dask's dashboard shows."""
    return found


def _flat(nested: Any) -> list[Any]:
    """Partial counts, which are nested in one list for each dimension of the array."""
    return [each for part in nested for each in _flat(part)] if isinstance(nested, list) else [nested]


def _summed(nested: Any, dtype: Any, **_: Any) -> NDArray[Any]:
    """The sum of tables, some of which may be shorter. They are not changed, because other tasks may use them."""
    tables = sorted(_flat(nested), key=len)
    sums: NDArray[Any] = tables.pop().astype(dtype)
    for table in tables:
        sums[: len(table)] += table.astype(dtype, copy=False)
    return sums


def _united(nested: Any, **_: Any) -> KeyCounts:
    """The distinct values of all blocks, and the count of each."""
    founds: list[KeyCounts] = _flat(nested)
    if founds[0][0].dtype.kind in "iu":
        return reduce(merge_counts, founds)
    values, places = np.unique(np.concatenate([values for values, _ in founds]), return_inverse=True, equal_nan=False)
    counts = np.zeros(len(values), np.int64)
    np.add.at(counts, places, np.concatenate([counts for _, counts in founds]))
    return values, counts


def _values_of(found: KeyCounts, *, like: Any) -> NDArray[Any]:
    return found[0].astype(like, copy=False)


def _counts_of(found: KeyCounts) -> NDArray[Any]:
    return found[1].astype(np.intp, copy=False)
