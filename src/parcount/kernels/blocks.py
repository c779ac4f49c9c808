"""Arrays as the compiled loops take them: contiguous, aligned, in the machine's byte order.

What already is so is passed on as it is; anything else a block at a time, so that no call ever copies its input.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 1 << 18
"""Elements converted at a time: what is loaded of them is still in cache when they are counted."""


def blocks(arrays: Sequence[NDArray[Any]], dtypes: Sequence[np.dtype[Any]]) -> Iterator[tuple[NDArray[Any], ...]]:
    """One-dimensional arrays of one length, side by side, in pieces that a compiled loop can read.

    Parameters
    ----------
    arrays : sequence of ndarray
        Of any strides, alignment, byte order.
    dtypes : sequence of dtype
        What each is to be converted to.

    Yields
    ------
    tuple of ndarray
        The next elements of each: the arrays themselves, whole, if none needs converting; else `BLOCK` elements.

    Examples
    --------
    >>> a = np.arange(6)
    >>> [piece.tolist() for piece, in blocks([a[::2]], [a.dtype])]
    [[0, 2, 4]]
    """
    size = len(arrays[0])
    native = [dtype.newbyteorder("=") for dtype in dtypes]
    if all(_ready(array, dtype) for array, dtype in zip(arrays, native, strict=True)):
        yield tuple(arrays)
        return
    for start in range(0, size, BLOCK):
        yield tuple(
            np.require(array[start : start + BLOCK], dtype, ["C", "A"])
            for array, dtype in zip(arrays, native, strict=True)
        )


def _ready(array: NDArray[Any], dtype: np.dtype[Any]) -> bool:
    return array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned
