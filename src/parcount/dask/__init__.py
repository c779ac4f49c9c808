"""The array functions for dask arrays: every block counted by our loops, and the counts merged in a tree.

What the result is like, where the edges are and what is refused is for dask's own functions to say: each is called, and
all of its answer kept but the graph that would count.
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
from parcount.kernels.unique_counts import Found, merged

UNKNOWN = ((np.nan,),)
"""The chunks of an array of which nobody knows how long it will be."""


def bincount(
    x: Any, /, weights: Any = None, minlength: int = 0, *, split_every: int | None = None, **others: Any
) -> Any:
    """`parcount.bincount`, as `dask.array.bincount`."""
    _refuse(others)
    if not isinstance(x, da.Array):
        return np.bincount(x, weights, minlength)
    like = da.bincount(x, weights=weights, minlength=minlength, split_every=split_every)
    arrays = _present(x, weights)
    if not _ours(arrays):
        return like
    total = _counted(_keys_in_block, arrays, _summed, like.dtype, split_every, minlength=minlength)
    return _placed(_counts, total, like.chunks, meta_from_array(like))


def histogram(
    a: Any,
    bins: Any = None,
    range: Any = None,  # noqa: A002 - NumPy's name
    density: bool | None = None,
    weights: Any = None,
    **others: Any,
) -> Any:
    """`parcount.histogram`, as `dask.array.histogram`."""
    _refuse(others)
    if not isinstance(a, da.Array):
        return np.histogram(a, 10 if bins is None else bins, range, density, weights)
    hist, edges = da.histogram(a, bins, range, weights=weights, density=density)
    arrays = _present(a, weights)
    if not _ours(arrays):
        return hist, edges
    like = da.histogram(a, bins, range, weights=weights)[0] if density else hist
    total = _counted(_values_in_block, arrays, _summed, like.dtype, bins=bins, range=range)
    counts = _placed(_counts, total, like.chunks, meta_from_array(like))
    return _density(counts, [edges]) if density else counts, edges


def histogramdd(
    sample: Any,
    bins: Any = 10,
    range: Any = None,  # noqa: A002
    density: bool | None = None,
    weights: Any = None,
    **others: Any,
) -> Any:
    """`parcount.histogramdd`, as `dask.array.histogramdd`."""
    _refuse(others)
    columns = list(sample) if isinstance(sample, list | tuple) else [sample]
    if not any(isinstance(column, da.Array) for column in columns):
        return np.histogramdd(sample, bins, range, density, weights)
    hist, edges = da.histogramdd(sample, bins, range, weights=weights, density=density)
    arrays = _present(*columns, weights)
    if not _ours(arrays):
        return hist, edges
    like = da.histogramdd(sample, bins, range, weights=weights)[0] if density else hist
    rows = isinstance(sample, da.Array)
    total = _counted(
        _rows_in_block, arrays, _summed, like.dtype, bins=bins, range=range, weighed=weights is not None, rows=rows
    )
    counts = _placed(_counts, total, like.chunks, meta_from_array(like))
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
    """`parcount.histogram2d`, as `dask.array.histogram2d`."""
    _refuse(others)
    if not (isinstance(x, da.Array) or isinstance(y, da.Array)):
        return np.histogram2d(x, y, bins, range, density, weights)
    hist, edges = histogramdd((x, y), bins, range, density, weights)
    return hist, edges[0], edges[1]


def unique_counts(x: Any, *, sorted: bool = True, **others: Any) -> Any:  # noqa: A002, ARG001 - they always are
    """`parcount.unique_counts`, as ``dask.array.unique(x, return_counts=True)``."""
    _refuse(others)
    if not _ours([x]):
        return UniqueCountsResult(*da.unique(x, return_counts=True))
    total = _counted(_distinct_in_block, [x], _united, object)
    values = _placed(_values_of, total, UNKNOWN, np.empty(0, x.dtype), like=x.dtype)
    counts = _placed(_counts_of, total, UNKNOWN, np.empty(0, np.intp))
    return UniqueCountsResult(values, counts)


def _density(counts: Any, edges: Sequence[Any]) -> Any:
    """Counts by the sizes of their bins, and by how many there are in all."""
    volumes = reduce(np.multiply.outer, [np.diff(its).astype(float) for its in edges])
    return counts / da.asarray(volumes, chunks=counts.chunks) / counts.sum()


def _refuse(others: dict[str, Any]) -> None:
    for name, value in others.items():
        if name not in ("out", "threads", "on"):
            raise TypeError(f"got an unexpected keyword argument {name!r}")
        if value is not None:
            raise TypeError(
                f"{name}= does not go with a dask array: it is counted later, where its scheduler runs the tasks, "
                "each on one thread"
            )


def _present(*arrays: Any) -> list[Any]:
    return [array for array in arrays if array is not None]


def _ours(arrays: Sequence[Any]) -> bool:
    """Whether the blocks are ordinary arrays; masked ones, and those on other devices, are left to dask."""
    return arrays[0].ndim > 0 and all(type(meta_from_array(array)) is np.ndarray for array in arrays)


def _counted(
    kernel: Callable[..., Any],
    arrays: Sequence[Any],
    merge: Callable[..., Any],
    dtype: Any,
    split_every: int | None = None,
    **settings: Any,
) -> Any:
    """A graph that counts and merges all, as an array of no dimensions, for the time being.

    Parameters
    ----------
    kernel : callable
        Counts one block of each array, with the settings.
    arrays : sequence of dask arrays
        Of the same blocks; those of fewer dimensions, along the first.
    merge : callable
        Makes one of several partial counts.
    dtype : data-type
        What `merge` is told to make it of.
    split_every : int or None
        How many it gets at a time; dask's setting if None.
    **settings
        The kernel's keywords.
    """
    axes = tuple(range(arrays[0].ndim))
    indices = [each for array in arrays for each in (array, axes[: array.ndim])]
    meta = np.empty((0,) * len(axes), dtype)
    partials = da.blockwise(kernel, axes, *indices, dtype=dtype, meta=meta, align_arrays=False, **settings)
    return da.reduction(
        partials,
        _counts,
        merge,
        dtype=dtype,
        split_every=split_every,
        concatenate=False,
        meta=np.empty((), dtype),
    )


def _placed(function: Callable[..., Any], total: Any, chunks: Any, meta: NDArray[Any], **settings: Any) -> Any:
    """The array, in one chunk, that a function makes of the merged counts."""
    return da.map_blocks(
        function,
        total,
        new_axis=list(range(len(chunks))),
        chunks=chunks,
        dtype=meta.dtype,
        meta=meta,
        **settings,
    )


def _keys_in_block(x: NDArray[Any], weights: NDArray[Any] | None = None, *, minlength: int) -> NDArray[Any]:
    return count_keys(x, weights, minlength, threads=1)


def _values_in_block(a: NDArray[Any], weights: NDArray[Any] | None = None, *, bins: Any, range: Any) -> NDArray[Any]:  # noqa: A002
    return count_values(a, bins, range, weights=weights, threads=1)[0]


def _rows_in_block(*columns: NDArray[Any], bins: Any, range: Any, weighed: bool, rows: bool) -> NDArray[Any]:  # noqa: A002
    *its, weights = columns if weighed else (*columns, None)
    return count_rows(its[0] if rows else its, bins, range, weights=weights, threads=1)[0]


def _distinct_in_block(x: NDArray[Any]) -> Found:
    values, counts = count_distinct(x, threads=1)
    return values.astype(values.dtype.newbyteorder("="), copy=False), counts


def _counts(found: Any, **_: Any) -> Any:
    """What there is already, as a task whose name dask's dashboard shows."""
    return found


def _flat(nested: Any) -> list[Any]:
    """Partial counts, which come in as many lists in lists as the array has dimensions."""
    return [each for part in nested for each in _flat(part)] if isinstance(nested, list) else [nested]


def _summed(nested: Any, dtype: Any, **_: Any) -> NDArray[Any]:
    """The sum of tables, of which some may be shorter. Those stay as they are: another task may be given them too."""
    tables = sorted(_flat(nested), key=len)
    sums: NDArray[Any] = tables.pop().astype(dtype)
    for table in tables:
        sums[: len(table)] += table.astype(dtype, copy=False)
    return sums


def _united(nested: Any, **_: Any) -> Found:
    """The values in any, and how often each is in all of them."""
    founds: list[Found] = _flat(nested)
    if founds[0][0].dtype.kind in "iu":
        return reduce(merged, founds)
    values, places = np.unique(np.concatenate([values for values, _ in founds]), return_inverse=True, equal_nan=False)
    counts = np.zeros(len(values), np.int64)
    np.add.at(counts, places, np.concatenate([counts for _, counts in founds]))
    return values, counts


def _values_of(found: Found, *, like: Any) -> NDArray[Any]:
    return found[0].astype(like, copy=False)


def _counts_of(found: Found) -> NDArray[Any]:
    return found[1].astype(np.intp, copy=False)
