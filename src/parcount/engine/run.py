"""The one way from a job to its counts: split the job, run a kernel on each part, merge the partial counts.

Array functions and the cells of studies both call `run`; a study passes a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

from parcount.engine.threads import persistent_threads
from parcount.execution.base import Execution
from parcount.execution.serial import Serial
from parcount.execution.threads import Threads
from parcount.kernels import python_loops
from parcount.kernels.job import Job, Kernel, Part, count_part

PIECE = 1 << 24
"""Elements in the smallest part that pays where each worker gets several: another part costs some 0.3 ms, and the last
part under way is what all may have to wait for (``bench/test_parts_per_worker.py``)."""

PIECE_A_BIN = 64
"""Elements of a part for each bin of its table, which has to be sent back and added."""


class Clock:
    """Measures one call of `run`.

    Attributes
    ----------
    started : float
        When all workers started together.
    seconds : float
        From then to the merged counts.
    """

    started: float
    seconds: float

    def stop(self) -> None:
        """Take the time."""
        self.seconds = perf_counter() - self.started


def run(job: Job, kernel: Kernel, execution: Execution, clock: Clock | None = None) -> Any:
    """Count a job.

    Parameters
    ----------
    job : Job
        What to count.
    kernel : Kernel
        By which loop. One with its own threads replaces `Threads`: it gets the job in one part and uses as many.
        In each worker of another execution it uses one.
    execution : Execution
        Who runs it. `Threads` without an initializer stand for the process's persistent threads, each on cores of its
        own. The workers of `Interpreters` get memoryviews of the caller's arrays, not copies.
    clock : Clock, optional
        Measures the call. All workers then start at one instant, with one part each.

    Returns
    -------
    object
        The merged counts: the same for every kernel and execution.

    Raises
    ------
    ValueError
        If the job is counted in place, and the workers share no memory with the caller.
    Exception
        What the kernel raised first, in the order of the parts.

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
    parts = job.split(number_of_parts(job, execution, one_each=clock is not None))
    function, items = _calls(kernel, parts, execution)
    if clock is None:
        partials = execution.map(function, items, idempotent=not job.in_place)
    else:
        partials, clock.started = execution.together(function, items, idempotent=not job.in_place)
    if not execution.supports_numpy:
        partials = [_array(counts, part) for counts, part in zip(partials, parts, strict=True)]
    counts = job.merge(partials)
    if clock is not None:
        clock.stop()
    return counts


def number_of_parts(job: Job, execution: Execution, *, one_each: bool = False) -> int:
    """Number of parts to cut a job into: at most one an element.

    A worker gets several parts, unless `one_each`, where one that is slow would otherwise keep the others waiting for
    longer than it takes to hand out more parts.
    """
    workers, size = execution.concurrency, job.size
    several = 1
    if execution.parts_per_worker > 1 and job.bins is not None and not one_each:
        several = max(1, min(execution.parts_per_worker, size // (workers * max(PIECE, PIECE_A_BIN * job.bins))))
    return max(1, min(workers * several, size))


def _calls(kernel: Kernel, parts: Sequence[Part], execution: Execution) -> tuple[Callable[[Any], Any], Sequence[Any]]:
    """What the workers call, and with which items."""
    if not execution.supports_numpy:
        return partial(python_loops.count_part, kernel), [
            (_bare(part.table), tuple(map(_bare, part.args))) for part in parts
        ]
    if isinstance(execution, Threads):
        return partial(_count_in_context, kernel), [(copy_context(), part) for part in parts]
    return partial(count_part, kernel), parts


def _count_in_context(kernel: Kernel, item: tuple[Context, Part]) -> Any:
    context, part = item
    return context.run(count_part, kernel, part)  # the caller's np.errstate holds in its threads too


def _bare(value: Any) -> Any:
    return value.data if isinstance(value, np.ndarray) else value


def _array(counts: Any, part: Part) -> Any:
    """Partial counts from a worker without NumPy, which sends no arrays, and nothing for cells counted in place."""
    return part.table if counts is None else np.asarray(counts)
