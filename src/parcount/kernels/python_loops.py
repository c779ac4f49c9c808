"""The hot loops in plain Python: what the compiled ones are measured against, and the definition of right.

Each takes a table first and counts into it. They read buffers through `memoryview`, which gives Python's own
numbers one by one: faster than indexing an array, and no copy. Nor does it need NumPy, which does not load in the
workers of `Interpreters`: for these the loops stand here, not in `parcount.kernels`, which imports it.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from parcount.kernels.job import Counts

GAMMA = 0x9E3779B97F4A7C15
WORD = 0xFFFFFFFFFFFFFFFF


def tally(counts: Counts, start: int, stop: int, seed: int) -> None:
    """Count the keys at positions ``start … stop - 1`` of splitmix64."""
    tallies = [0] * len(counts)
    mask = len(counts) - 1
    state = (seed + start * GAMMA) & WORD
    for _ in range(start, stop):
        state = (state + GAMMA) & WORD
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & WORD
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
        tallies[(z ^ (z >> 31)) & mask] += 1
    _add(counts, tallies)


def increment(cells: Counts) -> None:
    """Add one to every cell."""
    a = memoryview(cells)  # type: ignore[arg-type] # ndarray has __buffer__ from Python 3.12 on
    for i in range(len(a)):
        a[i] += 1


def bincount(counts: Counts, keys: NDArray[Any]) -> None:
    """Count how often each key occurs."""
    tallies = [0] * len(counts)
    bins = len(tallies)
    for key in memoryview(keys):  # type: ignore[arg-type]
        if not 0 <= key < bins:
            raise ValueError(f"a key lies outside 0 … {bins - 1}")
        tallies[key] += 1
    _add(counts, tallies)


def histogram(counts: Counts, values: NDArray[Any], edges: NDArray[Any]) -> None:
    """Count values into uniform bins; the last bin holds its upper edge too."""
    edge: Sequence[float] = edges.tolist()
    tallies = [0] * len(counts)
    last = len(tallies) - 1
    low, high = edge[0], edge[-1]
    scale = len(tallies) / (high - low)
    for value in memoryview(values):  # type: ignore[arg-type]
        if not low <= value <= high:
            continue
        slot = min(int((value - low) * scale), last)
        if value < edge[slot]:
            slot -= 1
        elif slot < last and value >= edge[slot + 1]:
            slot += 1
        tallies[slot] += 1
    _add(counts, tallies)


def count(part: tuple[str, int | memoryview | None, tuple[Any, ...]]) -> Any:
    """Count a part without NumPy.

    Parameters
    ----------
    part : tuple
        The loop as ``"module:function"``; how many cells a fresh table has, or the cells to count into in place, or
        None for a loop that brings its own; and what the loop takes after its table.

    Returns
    -------
    object
        The fresh table, an `array.array`; None for cells counted into in place; or what the loop has brought.

    Examples
    --------
    >>> count(("parcount.kernels.python_loops:tally", 4, (0, 100, 0)))
    array('q', [24, 26, 20, 30])
    """
    reference, out, args = part
    module, _, name = reference.partition(":")
    loop = getattr(import_module(module), name)
    if not isinstance(out, int):
        return loop(*args) if out is None else loop(out, *args)
    table = array("q", bytes(8 * out))
    loop(table, *args)
    return table


def _add(counts: Counts, tallies: Sequence[int]) -> None:
    a = memoryview(counts)  # type: ignore[arg-type]
    for key, tally in enumerate(tallies):
        a[key] += tally
