"""The kernels in plain Python: the baseline of the study, and the definition of right counts.

They read buffers through `memoryview`, which gives Python's own numbers: faster than indexing an array, and no copy.
No NumPy is imported here: the workers of `Interpreters` cannot load it.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from parcount.kernels.growth import grown_size

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


def bincount(counts: Counts, keys: NDArray[Any], grow: bool = False) -> Counts:
    """Count how often each key occurs; see `cython_loops.bincount`."""
    tallies = [0] * len(counts)
    bins = len(tallies)
    for key in memoryview(keys):  # type: ignore[arg-type]
        if not 0 <= key < bins:
            counts = grown(counts, keys, grow)
            tallies += [0] * (len(counts) - bins)
            bins = len(counts)
        tallies[key] += 1
    _add(counts, tallies)
    return counts


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
        cell = min(int((value - low) * scale), last)
        if value < edge[cell]:
            cell -= 1
        elif cell < last and value >= edge[cell + 1]:
            cell += 1
        tallies[cell] += 1
    _add(counts, tallies)


def grown(counts: Any, keys: Any, grow: bool) -> Any:
    """`parcount.kernels.job.grown`, also for an `array.array` and a memoryview."""
    if isinstance(counts, array):
        size = grown_size(len(counts), min(keys), max(keys), grow)
        return counts + array("q", bytes(8 * (size - len(counts))))
    from parcount.kernels import job

    return job.grown(counts, keys, grow)


def count_part(
    kernel: Callable[..., Any], part: tuple[int | memoryview | None, tuple[Any, ...]]
) -> array[int] | memoryview | None:
    """Count a part without NumPy, in a worker that cannot load it.

    Parameters
    ----------
    kernel : Kernel
        That needs no NumPy.
    part : tuple
        How many cells a new table has, or the cells to count into in place, or None for a kernel that takes no table;
        and the kernel's other arguments.

    Returns
    -------
    object
        The table; None for cells counted into in place; or what a kernel without a table returns.

    Examples
    --------
    >>> count_part(tally, (4, (0, 100, 0)))
    array('q', [24, 26, 20, 30])
    """
    out, args = part
    table = array("q", bytes(8 * out)) if isinstance(out, int) else out
    partial = kernel(table, *args)
    if isinstance(out, memoryview):
        return None  # the caller sees the cells
    return table if partial is None else partial


def _add(counts: Counts, tallies: Sequence[int]) -> None:
    a = memoryview(counts)  # type: ignore[arg-type]
    for key, tally in enumerate(tallies):
        a[key] += tally
