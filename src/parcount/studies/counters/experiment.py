"""The study of counters: what each counting method costs with several workers, and how many increments it loses."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from time import perf_counter
from typing import Any, ClassVar, Self

from parcount.kernels.job import cuts
from parcount.studies.core.cells import Cell, Sample, with_workers
from parcount.studies.core.experiment import Experiment
from parcount.studies.core.options import doublings, names_option, size_option, workers_option
from parcount.studies.counters import verdict
from parcount.studies.counters.methods import METHODS, PROCESSES, THREADS, CounterMethod
from parcount.system.cores import parallel_cores

WORKLOAD = "counter"

BARRIER_SECONDS = 60.0
"""Seconds within which all workers must have reached the barrier."""

_counter: Any = None
_barrier: Any = None


class CountersExperiment(Experiment):
    """Counting methods × who counts: the calling thread, threads, and processes that inherit the counter."""

    name = "counters"
    summary = "what each method of counting with several workers costs, and how many increments it loses"
    parameters = (
        names_option("variants", "method", METHODS),
        workers_option(
            "numbers of workers besides 1; default: all available cores", lambda: doublings(max(2, parallel_cores()))
        ),
        size_option("increments in one run; default: what each method does in a twentieth of a second"),
    )
    fixed_options: ClassVar[Mapping[str, Any]] = {
        "workloads": (WORKLOAD,),
        "executions": ("serial", THREADS, PROCESSES),
    }
    # Ten times as long as a thread keeps the GIL when others want it.
    target = 0.05
    lossy_variants = frozenset(name for name, method in METHODS.items() if method.may_lose)
    wrong = "LOST COUNTS"
    all_exact = ""  # the verdict says it of those that promise it
    claims = staticmethod(verdict.claims)
    conclude = staticmethod(verdict.conclude)

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        self._context = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")

    def cells(self) -> tuple[list[Cell], dict[Cell, tuple[str, str]]]:
        """Return each method by itself, and with several workers wherever it counts for these."""
        several = [workers for workers in self.options.workers if workers > 1]
        return [
            cell
            for name in self.options.variants
            for cell in with_workers(Cell(WORKLOAD, name, "serial", 1), METHODS[name].executions, several)
        ], {}

    def pool_key(self, cell: Cell) -> Hashable:
        """Return the cell for processes, which inherit its counter; threads serve all methods."""
        return cell if cell.execution == PROCESSES else super().pool_key(cell)

    def open_pool(self, cell: Cell) -> Any:
        """Return new workers."""
        if cell.execution == PROCESSES:
            return ProcessGroup(METHODS[cell.variant], cell.workers, self._context)
        return super().open_pool(cell)

    def measure(self, cell: Cell) -> Sample:
        """Count once, and compare the counter with the increments that were made."""
        work, method, pool = self.work[cell], METHODS[cell.variant], self.pool(cell)
        shares = [stop - start for start, stop in cuts(work, cell.workers)]
        if isinstance(pool, ProcessGroup):
            counted, seconds = pool.count(shares)
        else:
            counter = method.make(self._context)
            _, opened = pool.together(partial(method.loop, counter), shares)
            seconds = perf_counter() - opened
            counted = method.read(counter)
        return Sample(seconds, counted == work, lost=work - counted)


class ProcessGroup:
    """Processes that inherit one counter when they are started, as a `multiprocessing.Value` must be.

    A barrier, which they inherit as well, has each process take one share, and all begin at once.
    """

    def __init__(self, method: CounterMethod, workers: int, context: Any) -> None:
        self._method = method
        self._counter = method.make(context)
        self._pool = ProcessPoolExecutor(
            workers, context, initializer=_inherit, initargs=(self._counter, context.Barrier(workers))
        )
        self._pids: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        if hasattr(self._counter, "close"):
            self._counter.close()

    def pids(self) -> set[int]:
        """Return the ids of the processes that have counted."""
        return self._pids

    def count(self, shares: Sequence[int]) -> tuple[int, float]:
        """Have each worker count its share; return what was counted, and how long that took."""
        before = self._method.read(self._counter)
        done: list[Future[tuple[int, float, float]]] = [
            self._pool.submit(_count, self._method.loop, share) for share in shares
        ]
        pids, began, ended = zip(*(future.result() for future in done), strict=True)
        self._pids.update(pids)
        return self._method.read(self._counter) - before, max(ended) - min(began)


def _inherit(counter: Any, barrier: Any) -> None:
    global _counter, _barrier
    _counter, _barrier = counter, barrier


def _count(loop: Callable[[Any, int], None], share: int) -> tuple[int, float, float]:
    _barrier.wait(BARRIER_SECONDS)
    began = perf_counter()
    loop(_counter, share)
    return os.getpid(), began, perf_counter()
