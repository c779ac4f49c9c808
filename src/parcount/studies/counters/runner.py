"""Runs the ways to count: serially, by threads, and by processes that the counter was handed down to."""

from __future__ import annotations

import math
import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from time import perf_counter
from typing import Any, Self

from parcount.execution.serial import Serial
from parcount.execution.threads import Threads
from parcount.kernels.job import cuts
from parcount.studies.core.cells import Cell, Sample
from parcount.studies.core.load import stolen_time, waiting_time
from parcount.studies.core.runner import Runner
from parcount.studies.counters.methods import METHODS, CounterMethod

PATIENCE = 60.0
"""Seconds within which all workers must have come to the barrier."""

_counter: Any = None
_barrier: Any = None


class CellRunner(Runner):
    """Prepares ways to count, runs them, and cleans up: a context manager.

    Parameters
    ----------
    target : float
        Seconds that one run of a serial cell should take.
    size : int or None
        Increments in each run instead, if not None.

    Attributes
    ----------
    work, startup, failed
        As `Runner` has them.
    """

    def __init__(self, target: float, size: int | None) -> None:
        super().__init__()
        self._target = target
        self._size = size
        self._context = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
        self._threads: dict[int, Threads] = {}
        self._groups: dict[Cell, ProcessGroup] = {}

    def pids(self) -> list[int]:
        """The ids of this process and of all workers'."""
        return [os.getpid(), *(pid for group in self._groups.values() for pid in group.pids)]

    def prepare(self, cells: Sequence[Cell], progress: Callable[[str], None]) -> None:
        """Find how often each way counts in the time of a run, start the workers, and run every cell once."""
        for cell in cells:
            progress(f"{cell.variant}, {cell.execution}")
            self._attempt(cell, self._calibrate if cell.execution == "serial" else self._warm)

    def _calibrate(self, cell: Cell) -> Sample:
        """Find the size at which the serial cell takes about the target time."""
        self.work[cell] = 1 << 10 if self._size is None else self._size
        while True:
            sample = self._run(cell)
            if self._size is not None:
                return sample
            if sample.seconds >= self._target / 8:
                self.work[cell] = 1 << max(10, round(math.log2(self.work[cell] * self._target / sample.seconds)))
                return sample
            self.work[cell] *= 2

    def _warm(self, cell: Cell) -> Sample:
        if cell.baseline in self.failed:
            raise RuntimeError("its serial cell failed")
        self.work[cell] = self.work[cell.baseline]
        way = METHODS[cell.variant]
        before = perf_counter()
        if cell.execution == "processes":
            self._groups[cell] = self._stack.enter_context(ProcessGroup(way, cell.workers, self._context))
        elif cell.workers not in self._threads:
            self._threads[cell.workers] = self._stack.enter_context(Threads(cell.workers))
        self._run(cell)
        first = perf_counter() - before
        sample = self._run(cell)
        self.startup[cell] = max(0.0, first - sample.seconds)
        return sample

    def _run(self, cell: Cell) -> Sample:
        work = self.work[cell]
        shares = [stop - start for start, stop in cuts(work, cell.workers)]
        ours = [os.getpid(), *(self._groups[cell].pids if cell.execution == "processes" else ())]
        before = waiting_time(ours) + stolen_time()
        if cell.execution == "processes":
            counted, seconds = self._groups[cell].count(shares)
        else:
            on = Serial() if cell.execution == "serial" else self._threads[cell.workers]
            way = METHODS[cell.variant]
            counter = way.make(self._context)
            _, opened = on.together(partial(way.loop, counter), shares)
            seconds = perf_counter() - opened
            counted = way.read(counter)
        waited = waiting_time(ours) + stolen_time() - before
        return Sample(seconds, counted == work, min(1.0, max(0.0, waited) / (seconds * cell.workers)), work - counted)


class ProcessGroup:
    """Processes that were given one counter when they were started, as a `multiprocessing.Value` must be.

    The pool is the standard library's; a barrier that comes with the counter has each take one share, and all begin at
    one instant.

    Parameters
    ----------
    way : CounterMethod
        How they count.
    workers : int
        How many.
    context : multiprocessing context
        How they are started.
    """

    def __init__(self, way: CounterMethod, workers: int, context: Any) -> None:
        self._way = way
        self._counter = way.make(context)
        self._pool = ProcessPoolExecutor(
            workers, context, initializer=_take, initargs=(self._counter, context.Barrier(workers))
        )
        self.pids: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        if hasattr(self._counter, "close"):
            self._counter.close()

    def count(self, shares: Sequence[int]) -> tuple[int, float]:
        """Have each worker count its share; return what was counted, and how long that took."""
        before = self._way.read(self._counter)
        done: list[Future[tuple[int, float, float]]] = [
            self._pool.submit(_work, self._way.loop, share) for share in shares
        ]
        pids, began, ended = zip(*(future.result() for future in done), strict=True)
        self.pids.update(pids)
        return self._way.read(self._counter) - before, max(ended) - min(began)


def _take(counter: Any, barrier: Any) -> None:
    global _counter, _barrier
    _counter, _barrier = counter, barrier


def _work(loop: Callable[[Any, int], None], share: int) -> tuple[int, float, float]:
    _barrier.wait(PATIENCE)
    began = perf_counter()
    loop(_counter, share)
    return os.getpid(), began, perf_counter()
