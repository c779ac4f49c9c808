"""What is done with arrays at either end: they are made, and read, and it is known what must come of that.

The elements count up from a start, so that a checksum which depends on their order is known without having them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ITEM = 8
"""Bytes of an element."""

Array = NDArray[np.uint64]


def make(task: tuple[int, int]) -> Array:
    """An array that begins with `start` and has so many bytes."""
    start, size = task
    return np.arange(start, start + size // ITEM, dtype=np.uint64)


def checksum(array: Array) -> int:
    """The sum of the products of neighbours, modulo 2**64: it reads all elements, and minds their order."""
    return int(np.dot(array[:-1], array[1:]))


def expected_checksum(start: int, size: int) -> int:
    """The checksum of what `make` makes, by a formula.

    Examples
    --------
    >>> expected_checksum(3, 32), 3 * 4 + 4 * 5 + 5 * 6
    (62, 62)
    """
    return (_sum(start + size // ITEM - 1) - _sum(start)) % (1 << 64)


def _sum(stop: int) -> int:
    """Of i * (i + 1) for all i below."""
    return (stop - 1) * stop * (stop + 1) // 3
