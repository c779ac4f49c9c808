"""`bincount` along an axis, and with a maximum number of bins."""

from __future__ import annotations

from math import prod
from operator import index
from typing import Any, SupportsIndex

import numpy as np
from numpy.lib.array_utils import normalize_axis_index
from numpy.typing import ArrayLike, NDArray

from parcount.arrays.histogram import extremes
from parcount.arrays.out import accumulate, check_out
from parcount.engine.run import run
from parcount.engine.threads import choose_execution
from parcount.execution.base import Execution
from parcount.kernels.bincount_lines import Lines, lines, one_line
from parcount.kernels.blocks import as_uint8, flat
from parcount.kernels.job import Slices

MIN_LINES_PER_WORKER = 4
"""Lines for each worker from which each line is counted by one worker; fewer would leave some without work."""

MIN_KEYS_PER_CUT_BIN = 8
"""Keys for each bin from which those beyond ``maxlength`` are counted too: the counts then take little memory."""


def bincount_along(
    x: ArrayLike,
    weights: ArrayLike | None,
    minlength: SupportsIndex,
    axis: SupportsIndex | None,
    maxlength: SupportsIndex | None,
    out: NDArray[Any] | None,
    threads: int | None,
    on: Execution | None,
) -> NDArray[Any]:
    """`bincount` along an axis, or of all elements if it is None."""
    keys = np.asarray(x)
    if keys.dtype.kind not in "iub":
        if keys.size or isinstance(x, np.ndarray):
            raise TypeError(f"keys must be integers, not {keys.dtype}")
        keys = keys.astype(np.int64)
    if keys.dtype.kind == "b":
        keys = as_uint8(keys)
    addends = None if weights is None else np.asarray(weights)
    if addends is not None and not np.can_cast(addends.dtype, np.float64):
        raise TypeError(f"weights of dtype {addends.dtype} cannot be cast to float64 safely")
    if axis is None:
        if addends is not None:
            addends = np.broadcast_to(addends, keys.shape).reshape(-1)
        keys, axis = keys.reshape(-1), 0
    axis = normalize_axis_index(index(axis), keys.ndim)
    least_bins, most_bins = _length(minlength, "minlength"), _length(maxlength, "maxlength")
    dtype = np.int64 if addends is None else np.float64
    if out is not None:
        check_out(out, (*keys.shape[:axis], None, *keys.shape[axis + 1 :]), dtype)
    execution = choose_execution(keys.size, threads, on)
    before, size, after = prod(keys.shape[:axis]), keys.shape[axis], prod(keys.shape[axis + 1 :])
    if out is None:
        bins, skip = _bins(keys, least_bins or 0, most_bins, threads, before * after)
    elif (least_bins or 0) > out.shape[axis]:
        raise ValueError(f"out has {out.shape[axis]} cells along the axis, fewer than minlength {minlength}")
    else:
        skip = most_bins is not None and most_bins <= out.shape[axis]
        bins = most_bins if most_bins is not None and skip else out.shape[axis]
    counts = np.zeros((before, bins, after), dtype)
    if keys.size and bins:
        columns = [keys.reshape(before, size, after)]
        if addends is not None:
            columns.append(_weights(addends, keys.shape, axis).reshape(before, size, after))
        if before * after < MIN_LINES_PER_WORKER * execution.concurrency:
            for row, column in np.ndindex(before, after):
                line = [array[row, :, column] for array in columns]
                counts[row, :, column] = run(Slices(line, (skip,), bins, dtype), one_line, execution)
        else:
            run(Lines([counts, *columns], (skip,)), lines, execution)
    cells = (*[slice(None)] * axis, slice(bins if most_bins is None else min(bins, most_bins)))
    counts = counts.reshape((*keys.shape[:axis], bins, *keys.shape[axis + 1 :]))
    if out is None:
        return counts if most_bins is None or bins <= most_bins else counts[cells].copy()
    accumulate(out[cells], counts)
    return out


def _length(value: SupportsIndex | None, name: str) -> int | None:
    if value is None:
        return None
    if (length := index(value)) < 0:
        raise ValueError(f"{name} must not be negative, is {length}")
    return length


def _bins(
    keys: NDArray[Any], minlength: int, maxlength: int | None, threads: int | None, rows: int
) -> tuple[int, bool]:
    """The number of bins, and whether keys beyond them are left out."""
    bins = minlength
    if keys.size:
        least, greatest = extremes(flat(keys, "K"), threads)
        if least < 0:
            raise ValueError("'list' argument must have no negative elements")
        bins = max(minlength, int(greatest) + 1)
    if maxlength is None or bins <= maxlength:
        return bins, False
    # To count keys and cut them off is faster than to leave them out, if they do not take much memory.
    return (bins, False) if rows * bins <= keys.size // MIN_KEYS_PER_CUT_BIN else (maxlength, True)


def _weights(weights: NDArray[Any], shape: tuple[int, ...], axis: int) -> NDArray[np.float64]:
    """The weights in the shape of the keys: those of one dimension are repeated for each line."""
    weights = weights.astype(np.float64, copy=False)
    if weights.ndim == 1 and len(shape) > 1:
        if len(weights) != shape[axis]:
            raise ValueError(f"there are {len(weights)} weights for the {shape[axis]} keys along axis {axis}")
        weights = weights.reshape((-1, *[1] * (len(shape) - axis - 1)))
    return np.broadcast_to(weights, shape)
