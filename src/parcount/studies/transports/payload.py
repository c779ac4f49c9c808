"""The arrays that are sent, and the work on them at either end.

The elements count up from a start, so that a checksum which depends on their order is known without the array.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ITEM = 8
"""Bytes of an element."""

Array = NDArray[np.uint64]


def make(task: tuple[int, int]) -> Array:
    """Return an array from its first element and its size in bytes."""
    start, size = task
    return np.arange(start, start + size // ITEM, dtype=np.uint64)


def checksum(array: Array) -> int:
    """Return the sum of the products of neighbours, modulo 2**64, which depends on all elements and their order."""
    return int(np.dot(array[:-1], array[1:]))


def expected_checksum(start: int, size: int) -> int:
    """Return the checksum of an array of `make`, by a formula.

    Examples
    --------
    >>> expected_checksum(3, 32), 3 * 4 + 4 * 5 + 5 * 6
    (62, 62)
    """
    return (_sum(start + size // ITEM - 1) - _sum(start)) % (1 << 64)


def _sum(stop: int) -> int:
    """Return the sum of i * (i + 1) for all i < stop."""
    return (stop - 1) * stop * (stop + 1) // 3
