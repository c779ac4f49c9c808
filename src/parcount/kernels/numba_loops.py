"""The kernels compiled by Numba, which is imported by this module only.

All loops release the GIL. Those named ``…_parallel`` run on Numba's own threads (`prange`), with a table for each.
They are compiled at the first call with a dtype and cached on disk.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import isfinite
from typing import Any

import numba
import numpy as np
from numba import prange
from numpy.typing import NDArray

from parcount.kernels.job import CACHE_LINE, Counts, grown

# All terms are uint64, because Numba converts mixed signed and unsigned integers to floats.
GAMMA = np.uint64(0x9E3779B97F4A7C15)
MIX1 = np.uint64(0xBF58476D1CE4E5B9)
MIX2 = np.uint64(0x94D049BB133111EB)
S27, S30, S31 = np.uint64(27), np.uint64(30), np.uint64(31)
ONE = np.uint64(1)

PAD = CACHE_LINE // 8
"""Cells between the tables of two threads, which then share no cache line."""


def compiled(*, parallel: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compile without the GIL; cache the result on disk if possible."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        try:
            return numba.njit(nogil=True, cache=True, parallel=parallel)(function)
        except RuntimeError:  # "no locator available": neither the package nor the user's cache can be written
            return numba.njit(nogil=True, parallel=parallel)(function)

    return decorate


@compiled()
def _tally(counts: Counts, bins: int, start: np.uint64, stop: np.uint64, seed: np.uint64) -> None:
    mask = np.uint64(bins) - ONE
    state = seed + start * GAMMA
    for _ in range(stop - start):
        state += GAMMA
        z = (state ^ (state >> S30)) * MIX1
        z = (z ^ (z >> S27)) * MIX2
        counts[(z ^ (z >> S31)) & mask] += 1


@compiled(parallel=True)
def _tally_parallel(tables: Counts, bins: int, start: np.uint64, stop: np.uint64, seed: np.uint64) -> None:
    threads = np.uint64(len(tables))
    for thread in prange(len(tables)):
        first = start + (stop - start) * np.uint64(thread) // threads
        last = start + (stop - start) * np.uint64(thread + 1) // threads
        _tally(tables[thread], bins, first, last, seed)


@compiled()
def _increment(cells: Counts) -> None:
    for i in range(len(cells)):
        cells[i] += 1


@compiled(parallel=True)
def _increment_parallel(cells: Counts) -> None:
    for i in prange(len(cells)):
        cells[i] += 1


@compiled()
def _bincount(counts: Counts, bins: int, keys: NDArray[Any]) -> int:
    for i in range(len(keys)):
        key = np.uint64(keys[i])  # a negative key becomes larger than any table
        if key >= np.uint64(bins):
            return i
        counts[key] += 1
    return len(keys)


@compiled(parallel=True)
def _bincount_parallel(tables: Counts, bins: int, keys: NDArray[Any]) -> bool:
    threads = len(tables)
    outside = 0
    for thread in prange(threads):
        first = len(keys) * thread // threads
        last = len(keys) * (thread + 1) // threads
        if _bincount(tables[thread], bins, keys[first:last]) < last - first:
            outside += 1
    return outside == 0


@compiled()
def _histogram(counts: Counts, bins: int, values: NDArray[Any], edges: NDArray[Any]) -> None:
    last = bins - 1
    low, high = edges[0], edges[bins]
    scale = bins / (high - low)
    for i in range(len(values)):
        value = values[i]
        if not (value >= low and value <= high):
            continue
        cell = min(int((value - low) * scale), last)
        if value < edges[cell]:
            cell -= 1
        elif cell < last and value >= edges[cell + 1]:
            cell += 1
        counts[cell] += 1


@compiled(parallel=True)
def _histogram_parallel(tables: Counts, bins: int, values: NDArray[Any], edges: NDArray[Any]) -> None:
    threads = len(tables)
    for thread in prange(threads):
        first = len(values) * thread // threads
        last = len(values) * (thread + 1) // threads
        _histogram(tables[thread], bins, values[first:last], edges)


def tally(counts: Counts, start: int, stop: int, seed: int) -> None:
    """Count the keys at positions ``start … stop - 1`` of splitmix64."""
    _tally(counts, len(counts), np.uint64(start), np.uint64(stop), np.uint64(seed))


def increment(cells: Counts) -> None:
    """Add one to every cell."""
    _increment(cells)


def bincount(counts: Counts, keys: NDArray[Any], grow: bool = False) -> Counts:
    """Count how often each key occurs; see `cython_loops.bincount`."""
    done = _bincount(counts, len(counts), keys)
    while done < len(keys):
        counts = grown(counts, keys[done:], grow)
        done += _bincount(counts, len(counts), keys[done:])
    return counts


def histogram(counts: Counts, values: NDArray[Any], edges: NDArray[Any]) -> None:
    """Count values into uniform bins; the last bin holds its upper edge too."""
    _check(counts, edges)
    _histogram(counts, len(counts), values, edges)


def tally_parallel(counts: Counts, start: int, stop: int, seed: int, *, threads: int = 1) -> None:
    """`tally` on Numba's own threads."""
    with _limited(threads), _tables(counts, threads) as tables:
        _tally_parallel(tables, len(counts), np.uint64(start), np.uint64(stop), np.uint64(seed))


def increment_parallel(cells: Counts, *, threads: int = 1) -> None:
    """`increment` on Numba's own threads."""
    with _limited(threads):
        _increment_parallel(cells)


def bincount_parallel(counts: Counts, keys: NDArray[Any], grow: bool = False, *, threads: int = 1) -> Counts:
    """`bincount` on Numba's own threads."""
    with _limited(threads):
        while True:
            with _tables(counts, threads) as tables:
                if _bincount_parallel(tables, len(counts), keys):
                    break
                tables[:] = 0
            counts = grown(counts, keys, grow)
    return counts


def histogram_parallel(counts: Counts, values: NDArray[Any], edges: NDArray[Any], *, threads: int = 1) -> None:
    """`histogram` on Numba's own threads."""
    _check(counts, edges)
    with _limited(threads), _tables(counts, threads) as tables:
        _histogram_parallel(tables, len(counts), values, edges)


for _kernel in (tally_parallel, increment_parallel, bincount_parallel, histogram_parallel):
    _kernel.__dict__["own_threads"] = True


def most_threads() -> int:
    """The maximum number of Numba's threads in this process (``NUMBA_NUM_THREADS``)."""
    return int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]


def threading_layer() -> str | None:
    """Numba's threading layer: ``"tbb"``, ``"omp"`` or ``"workqueue"``; None before the first parallel call."""
    try:
        return str(numba.threading_layer())  # type: ignore[attr-defined]
    except ValueError:
        return None


_exclusive = threading.Lock()


@contextmanager
def _limited(threads: int) -> Iterator[None]:
    """Set the number of Numba's threads for parallel regions of the calling thread."""
    if not 1 <= threads <= most_threads():
        raise ValueError(f"Numba has {most_threads()} threads here (NUMBA_NUM_THREADS), not {threads}")
    # The workqueue layer aborts the process if two Python threads run parallel regions at once. The layer is not known
    # before the first region has run.
    exclusive = threading_layer() in (None, "workqueue")
    if exclusive:
        _exclusive.acquire()
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(threads)
        yield
    finally:
        numba.set_num_threads(before)
        if exclusive:
            _exclusive.release()


@contextmanager
def _tables(counts: Counts, threads: int = 1) -> Iterator[Counts]:
    """A table for each thread; they are added to `counts` at the end."""
    tables = np.zeros((threads, len(counts) + PAD), np.int64)
    yield tables
    counts += tables[:, : len(counts)].sum(axis=0)


def _check(counts: Counts, edges: NDArray[Any]) -> None:
    """Raise an error for edges with which the computed index can be NaN, which is outside the table."""
    bins = len(counts)
    if bins < 1 or len(edges) != bins + 1:
        raise ValueError(f"{bins} bins need {bins + 1} edges, not {len(edges)}")
    low, high = float(edges[0]), float(edges[bins])
    if not (high - low > 0 and isfinite(high - low) and isfinite(bins / (high - low))):
        raise ValueError(f"no uniform bins fit between {low} and {high}")
