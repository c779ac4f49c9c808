"""What the array functions have in common: adding to `out`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

CHECKED = 1 << 16
"""Cells of `out` checked at a time: the temporaries stay small."""


def check_out(out: NDArray[Any], bins: int | None, dtype: Any) -> None:
    """Refuse an `out` that could not take the result.

    Raises
    ------
    TypeError
        If it is no array, or its dtype cannot hold such sums.
    ValueError
        If it has not one dimension of `bins` cells (any number if None), or cannot be written.
    """
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be an array, not {type(out).__name__}")
    kinds = "iu" if np.dtype(dtype).kind == "i" else np.dtype(dtype).kind
    if out.dtype.kind not in kinds:
        raise TypeError(f"out has dtype {out.dtype}, into which counts of {np.dtype(dtype)} cannot be added")
    if out.ndim != 1 or (bins is not None and len(out) != bins):
        wanted = "one dimension" if bins is None else f"shape ({bins},)"
        raise ValueError(f"out must have {wanted}, not shape {out.shape}")
    if not out.flags.writeable:
        raise ValueError("output array is read-only")


def accumulate(out: NDArray[Any], sums: NDArray[Any]) -> None:
    """Add to the first cells of `out`, or if one of them would pass its dtype's limit, to none.

    Raises
    ------
    OverflowError
        If a count would not fit.
    """
    pieces = range(0, len(sums), CHECKED)
    if out.dtype.kind in "iu":
        limit = int(np.iinfo(out.dtype).max)
        for start in pieces:
            if not _fits(out[start : start + CHECKED][: len(sums) - start], sums[start : start + CHECKED], limit):
                raise OverflowError(f"a count does not fit into out's {out.dtype}; nothing was added")
    for start in pieces:
        cells = out[start : start + CHECKED][: len(sums) - start]
        cells += sums[start : start + CHECKED].astype(out.dtype)  # each fits, or it would not have with what there was


def _fits(cells: NDArray[Any], counts: NDArray[Any], limit: int) -> bool:
    """Whether ``cells + counts <= limit`` without the sum, which could come round. No count is negative."""
    below = np.minimum(cells, 0).astype(np.int64)  # a negative cell has that much more room
    room = limit - np.maximum(cells, 0).astype(np.uint64)
    return bool(((counts + below).clip(0).astype(np.uint64) <= room).all())
