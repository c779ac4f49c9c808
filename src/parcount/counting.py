"""The one road from a job to its counts: split, run the kernel, merge. A study takes it with a clock."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import Any

from numpy.typing import NDArray

from parcount.execution.base import Execution
from parcount.execution.threads import Threads
from parcount.kernels.workload import Kernel, Part, Work


def count(job: Work, kernel: Kernel, on: Execution) -> NDArray[Any]:
    """Count a job.

    A part whose worker process dies is counted by another, unless it is counted in place.

    A kernel that brings its own threads takes the place of `Threads`: it gets the job in one piece and uses as many
    as those would be. In each worker of another execution it uses one.

    Parameters
    ----------
    job : Work
        What to count.
    kernel : Kernel
        By which loop.
    on : Execution
        Who runs it: one part a worker.

    Returns
    -------
    ndarray of int64
        The counts of the whole: the same for every kernel and execution.
    """
    kernel, parts = _divide(job, kernel, on)
    return job.merge(on.map(kernel, parts, once=any(part.in_place for part in parts)))


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
    partials, opened = on.together(kernel, parts, once=any(part.in_place for part in parts))
    counts = job.merge(partials)
    return counts, perf_counter() - opened


def _divide(job: Work, kernel: Kernel, on: Execution) -> tuple[Kernel, list[Part]]:
    if kernel.own_threads and isinstance(on, Threads):
        return replace(kernel, threads=on.workers), job.split(1)
    return kernel, job.split(on.slots)
