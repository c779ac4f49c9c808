"""Counting a job: split it, run a kernel on each part, merge the partial counts.

Array functions and the cells of studies both call `run`; a study passes a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from functools import partial
from time import perf_counter, thread_time
from typing import Any

import numpy as np

from parcount.engine.threads import persistent_threads
from parcount.execution.base import Execution
from parcount.execution.serial import Serial
from parcount.execution.threads import Threads
from parcount.kernels import python_loops
from parcount.kernels.job import Job, Kernel, Part, count_part

MIN_PART_SIZE = 1 << 24
"""Minimum elements of a part if each worker gets several: an additional part costs about 0.3 ms
(``bench/test_parts_per_worker.py``)."""

MIN_PART_SIZE_PER_BIN = 64
"""Minimum elements of such a part for each bin of its table, which is sent back and added."""


class Clock:
    """The time of one call of `run`.

    Parameters
    ----------
    cpu : bool, optional
        Whether the CPU time of the workers is measured as well.

    Attributes
    ----------
    started : float
        The time of `time.perf_counter` at which all workers started together.
    seconds : float
        From then until the counts were merged.
    cpu : float or None
        Seconds of CPU time of all workers, if measured.
    """

    started: float
    seconds: float

    def __init__(self, *, cpu: bool = False) -> None:
        self.cpu = 0.0 if cpu else None

    def stop(self) -> None:
        """Take the time."""
        self.seconds = perf_counter() - self.started


def run(job: Job, kernel: Kernel, execution: Execution, clock: Clock | None = None) -> Any:
    """Count a job.

    Parameters
    ----------
    job : Job
        The job.
    kernel : Kernel
        The loop. One with threads of its own replaces `Threads`: it gets the job in one part and uses as many threads.
        In each worker of another execution it uses one.
    execution : Execution
        The execution. `Threads` without an initializer stand for the process's persistent threads, each pinned to
        cores of its own. The workers of `Interpreters` get memoryviews of the caller's arrays, not copies.
    clock : Clock, optional
        Measures the call. All workers then start together, with one part each.

    Returns
    -------
    object
        The merged counts: the same for every kernel and execution.

    Raises
    ------
    ValueError
        If the job is counted in place and the workers share no memory with the caller.
    Exception
        The kernel's, of the first part that failed.

    Notes
    -----
    If a worker process dies, another counts its part, unless the job is counted in place.
    """
    if job.in_place and not execution.shares_memory:
        raise ValueError(
            f"this job is counted in place, and the caller would not see the counts: the workers of {execution} share "
            "no memory with it"
        )
    if isinstance(execution, Threads):
        if getattr(kernel, "own_threads", False):
            kernel, execution = partial(kernel, threads=execution.workers), Serial()
        else:
            execution = persistent_threads(execution)
    timed = clock is not None and clock.cpu is not None
    if type(execution) is Serial and not timed:  # `map` would take some microseconds more
        started = perf_counter()
        partials = [count_part(kernel, *job.split(1))]
    else:
        started, partials = _run_parts(job, kernel, execution, together=clock is not None, timed=timed)
    if clock is not None and timed:
        clock.cpu = sum(seconds for _, seconds in partials)
        partials = [counts for counts, _ in partials]
    counts = job.merge(partials)
    if clock is not None:
        clock.started = started
        clock.stop()
    return counts


def _run_parts(
    job: Job, kernel: Kernel, execution: Execution, *, together: bool, timed: bool
) -> tuple[float, list[Any]]:
    """The time at which the workers started, if they did together, and the partial counts, `timed` with CPU times."""
    parts = job.split(number_of_parts(job, execution, one_each=together))
    function, items = _calls(kernel, parts, execution)
    if together:
        function = partial(with_cpu_time, function) if timed else function
        partials, started = execution.together(function, items, idempotent=not job.in_place)
    else:
        partials, started = execution.map(function, items, idempotent=not job.in_place), 0.0
    if not execution.supports_numpy:
        partials = [_as_array(counts, part) for counts, part in zip(partials, parts, strict=True)]
    return started, partials


def with_cpu_time(function: Callable[[Any], Any], item: Any) -> tuple[Any, float]:
    """Return the result of a function, and the seconds of CPU time that this thread took for it."""
    before = thread_time()
    result = function(item)
    return result, thread_time() - before


def number_of_parts(job: Job, execution: Execution, *, one_each: bool = False) -> int:
    """The number of parts of a job, at most one an element.

    Each worker gets several parts, unless `one_each`, so that the others need not wait for a slow one; but no more than
    pay off.
    """
    workers, size = execution.concurrency, job.size
    several = 1
    if execution.parts_per_worker > 1 and job.bins is not None and not one_each:
        min_size = max(MIN_PART_SIZE, MIN_PART_SIZE_PER_BIN * job.bins)
        several = max(1, min(execution.parts_per_worker, size // (workers * min_size)))
    return max(1, min(workers * several, size))


def _calls(kernel: Kernel, parts: Sequence[Part], execution: Execution) -> tuple[Callable[[Any], Any], Sequence[Any]]:
    """The function for the workers, and its items."""
    if not execution.supports_numpy:
        return partial(python_loops.count_part, kernel), [
            (_as_memoryview(part.table), tuple(map(_as_memoryview, part.args))) for part in parts
        ]
    if isinstance(execution, Threads):
        return partial(_count_in_context, kernel), [(copy_context(), part) for part in parts]
    return partial(count_part, kernel), parts


def _count_in_context(kernel: Kernel, item: tuple[Context, Part]) -> Any:
    context, part = item
    return context.run(count_part, kernel, part)  # the caller's np.errstate holds in its threads too


def _as_memoryview(value: Any) -> Any:
    return value.data if isinstance(value, np.ndarray) else value


def _as_array(counts: Any, part: Part) -> Any:
    """Partial counts from a worker without NumPy; those that it has counted in place it does not send."""
    return part.table if counts is None else np.asarray(counts)
