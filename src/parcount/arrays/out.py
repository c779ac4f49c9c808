"""The argument `out` of the array functions: the checks, and the addition."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHECKED = 1 << 16
"""Cells of `out` that are checked at a time, so that the temporaries stay small."""


def check_out(out: NDArray[Any], shape: tuple[int | None, ...], dtype: Any) -> None:
    """Raise an error unless `out` can hold the result.

    Raises
    ------
    TypeError
        If it is not an array, or its dtype is of another kind.
    ValueError
        If it does not have the shape, where None is any length, or is read-only.
    """
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be an array, not {type(out).__name__}")
    kinds = "iu" if np.dtype(dtype).kind == "i" else np.dtype(dtype).kind
    if out.dtype.kind not in kinds:
        raise TypeError(f"out has dtype {out.dtype}, into which counts of {np.dtype(dtype)} cannot be added")
    if out.ndim != len(shape) or any(length not in (None, its) for length, its in zip(shape, out.shape, strict=True)):
        wanted = "one dimension" if shape == (None,) else f"shape {shape}".replace("None", "any")
        raise ValueError(f"out must have {wanted}, not shape {out.shape}")
    if out.ndim > 1 and any(length > 1 and not step for length, step in zip(out.shape, out.strides, strict=True)):
        raise ValueError("the cells of out must not share their memory")
    if not out.flags.writeable:
        raise ValueError("output array is read-only")


def accumulate(out: NDArray[Any], sums: NDArray[Any]) -> None:
    """Add to the first rows of `out`; if one of the sums does not fit into its dtype, to none.

    Raises
    ------
    OverflowError
        If a count does not fit.
    """
    if out.ndim == 1 and len(out) > 1 and out.strides[0] == 0:  # all cells share their memory
        out, sums = out[:1], sums.sum(keepdims=True)
    step = max(1, CHECKED // max(1, prod(sums.shape[1:])))
    pieces = [slice(start, start + step) for start in range(0, len(sums), step)]
    out = out[: len(sums)]
    if out.dtype.kind in "iu" and not all(_fits(out[piece], sums[piece]) for piece in pieces):
        raise OverflowError(f"a count does not fit into out's {out.dtype}; nothing was added")
    for piece in pieces:
        out[piece] += sums[piece].astype(out.dtype)


def _fits(cells: NDArray[Any], counts: NDArray[Any]) -> bool:
    """Whether no sum wraps. Some counts are negative: those that NumPy returns for edges with NaN."""
    limits = np.iinfo(cells.dtype)
    wrapped = cells + counts.astype(cells.dtype)
    added = np.where(counts < 0, wrapped <= cells, wrapped >= cells)
    return bool((added & (np.abs(counts) <= int(limits.max) - int(limits.min))).all())
