"""The study of counters: what each counting method costs with several workers, and how many increments it loses."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Hashable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from time import perf_counter
from typing import Any, ClassVar

from parcount.kernels.job import cuts
from parcount.studies.core.cells import Cell, Sample, with_workers
from parcount.studies.core.experiment import Experiment
from parcount.studies.core.options import doublings, names_option, size_option, workers_option
from parcount.studies.core.process_group import ProcessGroup
from parcount.studies.counters import verdict
from parcount.studies.counters.methods import METHODS, PROCESSES, THREADS
from parcount.system.cores import parallel_cores

WORKLOAD = "counter"


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
            return ProcessGroup(cell.workers, self._context, METHODS[cell.variant].make)
        return super().open_pool(cell)

    def measure(self, cell: Cell) -> Sample:
        """Count once, and compare the counter with the increments that were made."""
        work, method, pool = self.work[cell], METHODS[cell.variant], self.pool(cell)
        shares = [stop - start for start, stop in cuts(work, cell.workers)]
        if isinstance(pool, ProcessGroup):
            before = method.read(pool.inherited)
            began, ended = zip(*pool.run(partial(_task, method.loop), shares), strict=True)
            seconds = max(ended) - min(began)
            counted = method.read(pool.inherited) - before
        else:
            counter = method.make(self._context)
            _, opened = pool.together(partial(method.loop, counter), shares)
            seconds = perf_counter() - opened
            counted = method.read(counter)
        return Sample(seconds, counted == work, lost=work - counted)


def _task(loop: Callable[[Any, int], None], counter: Any, share: int) -> AbstractContextManager[Callable[[], None]]:
    return nullcontext(partial(loop, counter, share))
