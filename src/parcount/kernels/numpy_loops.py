"""The kernels as NumPy's whole-array operations: what most users run today."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from parcount._native.cancellation import raise_if_cancelled
from parcount.kernels.job import Counts, grown

CHUNK = 1 << 16
"""Elements at a time where there would be temporaries: half a megabyte each, so that they stay in cache."""

BLOCK = 1 << 22
"""Cells that `increment` adds to at a time, in some milliseconds: an interrupted call ends after one block."""


def keys_at(start: int, stop: int, seed: int) -> NDArray[np.uint64]:
    """Outputs ``start … stop - 1`` of splitmix64 seeded with `seed`."""
    with np.errstate(over="ignore"):  # arithmetic modulo 2**64 is the algorithm
        z = np.arange(start + 1, stop + 1, dtype=np.uint64)
        z *= np.uint64(0x9E3779B97F4A7C15)
        z += np.uint64(seed)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def tally(counts: Counts, start: int, stop: int, seed: int) -> None:
    """Count the keys at positions ``start … stop - 1`` of splitmix64."""
    mask = np.uint64(len(counts) - 1)
    for first in range(start, stop, CHUNK):
        keys = keys_at(first, min(first + CHUNK, stop), seed) & mask
        counts += np.bincount(keys.astype(np.int64), minlength=len(counts))


def increment(cells: NDArray[Any], by: Any = 1) -> None:
    """Add a number, or an array of the same shape, to every cell."""
    raise_if_cancelled()
    if cells.size <= BLOCK:
        np.add(cells, by, out=cells)
        return
    rows = BLOCK * len(cells) // cells.size
    for start in range(0, len(cells), rows or 1):
        part = slice(start, start + rows) if rows else start
        increment(cells[part], by[part] if isinstance(by, np.ndarray) and by.ndim else by)


def bincount(counts: Counts, keys: NDArray[Any], grow: bool = False) -> Counts:
    """Count how often each key occurs; see `cython_loops.bincount`."""
    if len(keys) and not (keys.min() >= 0 and keys.max() < len(counts)):
        counts = grown(counts, keys, grow)
    # np.bincount takes no uint64; these keys have just been shown to fit.
    counts += np.bincount(keys.astype(np.int64) if keys.dtype == np.uint64 else keys, minlength=len(counts))
    return counts


def histogram(counts: Counts, values: NDArray[Any], edges: NDArray[Any]) -> None:
    """Count values into uniform bins; the last bin holds its upper edge too."""
    counts += np.histogram(values, bins=len(counts), range=(edges[0], edges[-1]))[0]
