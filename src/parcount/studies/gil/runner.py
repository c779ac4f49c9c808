"""Everything a study's cells run on: jobs of the right size, warm workers, and the exact answers."""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from time import perf_counter
from types import TracebackType

import numpy as np

from parcount.engine.run import count_timed
from parcount.execution.base import Execution
from parcount.execution.interpreters import Interpreters
from parcount.execution.processes.execution import Processes
from parcount.execution.serial import Serial
from parcount.execution.threads import Threads
from parcount.kernels import WORKLOADS, Counts, Job, Kernel
from parcount.kernels.bincount import Bincount
from parcount.studies.core.cells import Cell, Sample
from parcount.studies.core.load import stolen_time, waiting_time
from parcount.studies.core.options import Options
from parcount.studies.core.runner import Runner
from parcount.studies.core.shared_data import to_shared_memory
from parcount.studies.gil.cells import file_bytes

MOST_BYTES = 1 << 28
"""Bytes of a file beyond which more would only take memory: a tenth of a second of the fastest variant."""

LEAST_DATA = 1 << 16
"""Elements below which a job is not made smaller to fit into the shared memory that there is."""


def execution(name: str, workers: int) -> Execution:
    """A new execution, by the name that cells have for it."""
    if name == "serial":
        return Serial()
    if name == "processes":
        return Processes(workers, retries=0)  # a kernel that ends its worker is a finding, not to be tried again
    return Threads(workers) if name == "threads" else Interpreters(workers)


class CellRunner(Runner):
    """Prepares cells, runs them, and cleans up: a context manager.

    Parameters
    ----------
    asked : Options
        What the study's caller asked for.
    target : float
        Seconds that one run of a serial cell should take, unless the size was given.

    Attributes
    ----------
    work, startup, failed
        As `Runner` has them.
    """

    def __init__(self, asked: Options, target: float) -> None:
        super().__init__()
        self._asked = asked
        self._target = target
        self._data: dict[str, Job] = {}
        self._jobs: dict[tuple[str, int], tuple[Job, Counts]] = {}
        self._sizes: dict[tuple[str, str], int] = {}
        self._pools: dict[tuple[str, int], Execution] = {}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._jobs.clear()
        self._data.clear()

    def pids(self) -> list[int]:
        """The ids of this process and of all workers'."""
        return [os.getpid(), *(pid for pool in self._pools.values() for pid in pool.pids())]

    def prepare(self, cells: Sequence[Cell], progress: Callable[[str], None]) -> None:
        """Make the data, find the sizes, start the workers, and run every cell once, untimed.

        Raises
        ------
        OSError
            If `data` cannot be read, or the system has not the shared memory for a size that was asked for.
        """
        for workload in dict.fromkeys(cell.workload for cell in cells):
            progress(f"data for {workload}")
            self._data[workload] = self._make(workload)
        for cell in cells:
            progress(f"size for {cell.workload}, {cell.variant}")
            if cell.execution == "serial":
                self._attempt(cell, self._calibrate)
        for cell in cells:
            progress(f"workers for {cell.variant} on {cell.execution}")
            self._attempt(cell, self._warm)

    def _make(self, workload: str) -> Job:
        """The workload's data, as large as any cell needs it, and as fits."""
        asked = self._asked
        job: Job
        if asked.data is not None and workload == "bincount":
            data = file_bytes(asked.data)
            job = Bincount().over(data[: MOST_BYTES if asked.size is None else asked.size])
        else:
            job = WORKLOADS[workload].make(
                WORKLOADS[workload].largest if asked.size is None else asked.size, asked.seed
            )
        while True:
            try:
                return to_shared_memory(job)
            except OSError as error:
                if error.errno != errno.ENOSPC or asked.size is not None or job.size <= LEAST_DATA:
                    raise
                job = job.head(job.size // 4)

    def _calibrate(self, cell: Cell) -> None:
        """Find the size at which the serial cell takes about the target time; double until it can be told."""
        most = self._data[cell.workload].size
        size = most if self._asked.size is not None else min(most, 1 << 10)
        kernel, on = self._kernel(cell), Serial()
        job = self._data[cell.workload].head(size)
        count_timed(job, kernel, on)  # compiles, where there is a compiler
        while self._asked.size is None:
            job = self._data[cell.workload].head(size)
            _, seconds = count_timed(job, kernel, on)
            if size == most:
                break
            if seconds >= self._target / 8:
                # A power of two, so that variants of about one speed count the same job.
                size = min(most, 1 << round(math.log2(size * self._target / seconds)))
                break
            size = min(most, size * 2)
        self._sizes[cell.workload, cell.variant] = size

    def _warm(self, cell: Cell) -> None:
        """Start workers for this cell alone, and see how much later their first answer comes than the second."""
        try:
            size = self._sizes[cell.workload, cell.variant]
        except KeyError:
            raise RuntimeError("its serial cell failed") from None
        if (cell.workload, size) not in self._jobs:
            job = self._data[cell.workload].head(size)
            job.reset()
            self._jobs[cell.workload, size] = job, job.exact()
        self.work[cell] = size
        start = perf_counter()
        with ExitStack() as stack:
            fresh = stack.enter_context(execution(cell.execution, cell.workers))
            self._count(cell, fresh)
            first = perf_counter() - start
            _, seconds = self._count(cell, fresh)
            if cell.execution != "serial":
                self.startup[cell] = max(0.0, first - seconds)
            if (cell.execution, cell.workers) not in self._pools:  # one set of warm workers serves all variants
                self._pools[cell.execution, cell.workers] = fresh
                self._stack.push(stack.pop_all())
        self._count(cell, self._pools[cell.execution, cell.workers])  # those load and map this cell's things now

    def _run(self, cell: Cell) -> Sample:
        on = self._pools[cell.execution, cell.workers]
        _, exact = self._jobs[cell.workload, self.work[cell]]
        ours = [os.getpid(), *on.pids()]
        before = waiting_time(ours) + stolen_time()
        counts, seconds = self._count(cell, on)
        waited = waiting_time(ours) + stolen_time() - before
        return Sample(seconds, np.array_equal(counts, exact), min(1.0, waited / (seconds * cell.workers)))

    def _count(self, cell: Cell, on: Execution) -> tuple[Counts, float]:
        job, _ = self._jobs[cell.workload, self.work[cell]]
        job.reset()
        return count_timed(job, self._kernel(cell), on)

    def _kernel(self, cell: Cell) -> Kernel:
        return WORKLOADS[cell.workload].kernels[cell.variant]
