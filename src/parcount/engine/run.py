"""The one road from a job to its counts: split, run the kernel, merge. A study takes it with a clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parcount.execution.base import Execution
from parcount.execution.threads import Threads
from parcount.kernels import python_loops
from parcount.kernels.job import Kernel, Part, Work

PIECE = 1 << 24
"""Elements in the smallest part that pays where each worker gets several: another costs some 0.3 ms, and one that is
under way is what all may have to wait for (``bench/test_parts_per_worker.py``)."""

PIECE_A_BIN = 64
"""Elements of a part for each bin of its table, which has to come back, and to be added."""


def count(job: Work, kernel: Kernel, on: Execution, *, shares: int = 1) -> NDArray[Any]:
    """Count a job.

    A part whose worker process dies is counted by another, unless it is counted in place.

    A kernel that brings its own threads takes the place of `Threads`: it gets the job in one piece and uses as many
    as those would be. In each worker of another execution it uses one.

    `Interpreters` run those kernels whose module they can import, on the caller's arrays without a copy of them.

    Parameters
    ----------
    job : Work
        What to count.
    kernel : Kernel
        By which loop.
    on : Execution
        Who runs it: one part a worker, or several.
    shares : int, optional
        How many, if it is several: see `pieces`.

    Returns
    -------
    ndarray of int64
        The counts of the whole: the same for every kernel and execution.

    Raises
    ------
    ValueError
        If the job is counted in place, and workers of `on` would do that in memory of their own.
    """
    kernel, parts = _divide(job, kernel, on, shares)
    function, items = _sent(kernel, parts, on)
    return job.merge(_received(on.map(function, items, idempotent=not any(part.in_place for part in parts)), parts, on))


def count_timed(job: Work, kernel: Kernel, on: Execution) -> tuple[NDArray[Any], float]:
    """`count`, with all workers starting at one instant, and timed.

    Returns
    -------
    counts : ndarray of int64
        The counts of the whole.
    seconds : float
        From that instant to the merged counts.
    """
    kernel, parts = _divide(job, kernel, on)
    function, items = _sent(kernel, parts, on)
    partials, opened = on.together(function, items, idempotent=not any(part.in_place for part in parts))
    counts = job.merge(_received(partials, parts, on))
    return counts, perf_counter() - opened


def pieces(size: int, bins: int, on: Execution) -> int:
    """How many parts each worker gets: more than one where a worker that is slower, or a part that takes longer, would
    keep the others waiting by more than it costs to hand out more.

    Parameters
    ----------
    size : int
        Elements in all.
    bins : int
        Cells of a table.
    on : Execution
        Whose workers; it says how many parts they like to have.
    """
    return max(1, min(on.parts_per_worker, size // (on.concurrency * max(PIECE, PIECE_A_BIN * bins))))


def _divide(job: Work, kernel: Kernel, on: Execution, shares: int = 1) -> tuple[Kernel, list[Part]]:
    if kernel.own_threads and isinstance(on, Threads):
        return replace(kernel, threads=on.workers), job.split(1)
    parts = job.split(on.concurrency * shares)
    if not on.shares_memory and any(part.in_place for part in parts):
        raise ValueError(
            f"this job is counted in place, which nobody would see of the workers of {on}: they share no memory"
        )
    return kernel, parts


def _sent(kernel: Kernel, parts: Sequence[Part], on: Execution) -> tuple[Callable[[Any], Any], Sequence[Any]]:
    """What the workers call, and with what."""
    if on.supports_numpy:
        return kernel, parts
    return python_loops.count, [(kernel.reference, _bare(part.out), tuple(map(_bare, part.args))) for part in parts]


def _bare(value: Any) -> Any:
    return value.data if isinstance(value, np.ndarray) else value


def _received(partials: Sequence[Any], parts: Sequence[Part], on: Execution) -> Sequence[Any]:
    """The partial counts. A worker without NumPy sends no arrays, and nothing that it has counted in place."""
    if on.supports_numpy:
        return partials
    counts = zip(partials, parts, strict=True)
    return [part.out if partial is None else np.asarray(partial) for partial, part in counts]
