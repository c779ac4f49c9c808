"""Runs the cells of a study of I/O: fetches pages from a server, and counts beside it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

from parcount.execution.base import Execution
from parcount.execution.processes.execution import Processes
from parcount.execution.serial import Serial
from parcount.execution.threads import Threads
from parcount.kernels import WORKLOADS, Counts, Job
from parcount.kernels.job import cuts
from parcount.studies.core.cells import Cell, Sample
from parcount.studies.core.load import Watch, stolen_time, waiting_time
from parcount.studies.core.options import Options
from parcount.studies.core.runner import Runner
from parcount.studies.io.cells import ASYNCIO, CONTROL, FETCH, LOOP
from parcount.studies.io.cpu_time import with_cpu_time
from parcount.studies.io.server import Server
from parcount.system.cores import available_cores

PROBE = 2
"""Pages that each worker fetches before it is known how many it should."""


class CellRunner(Runner):
    """Prepares cells, runs them, and cleans up: a context manager.

    Parameters
    ----------
    asked : Options
        What the study's caller asked for.
    target : float
        Seconds that one run should take.

    Attributes
    ----------
    work, startup, failed
        As `Runner` has them; the work of a cell that fetches is in pages.
    """

    def __init__(self, asked: Options, target: float) -> None:
        super().__init__()
        self._asked = asked
        self._delay = (asked.delay or 0.0) / 1000
        self._target = target
        self._server: Server | None = None
        self._pools: dict[Cell, Execution] = {}
        self._counting: tuple[Job, Counts] | None = None

    def pids(self) -> list[int]:
        """The ids of this process, of all workers', and of the server's."""
        server = [] if self._server is None else [self._server.pid]
        return [os.getpid(), *server, *(pid for pool in self._pools.values() for pid in pool.pids())]

    def prepare(self, cells: Sequence[Cell], progress: Callable[[str], None]) -> None:
        """Start the server and the workers, find how much each cell does in the time of a run, and run it once.

        Raises
        ------
        OSError
            If the server cannot be started.
        """
        if any(cell.workload == FETCH for cell in cells):
            self._server = self._stack.enter_context(Server(self._delay))
        for cell in cells:
            progress(f"{cell.workload}, {cell.workers} on {cell.execution}")
            self._attempt(cell, self._warm)

    def _warm(self, cell: Cell) -> None:
        """See how much later new workers' first answer comes than the second, and how much they do in a run."""
        if cell.baseline in self.failed:
            raise RuntimeError("its serial cell failed")
        if cell.workload == FETCH:
            self.work[cell] = self._asked.size or PROBE * cell.workers
        elif cell.execution == "serial":
            self._calibrate(cell)
        else:
            self.work[cell] = self.work[cell.baseline]
        before = perf_counter()
        pool = self._pools[cell] = self._stack.enter_context(_execution(cell))
        if cell.workload == FETCH and cell.execution != "processes":  # processes hang up by ending
            self._stack.callback(_close_clients, pool)
        self._run(cell)
        first = perf_counter() - before
        seconds = self._run(cell).seconds
        if cell.execution != "serial":
            self.startup[cell] = max(0.0, first - seconds)
        if cell.workload == FETCH and self._asked.size is None:
            self.work[cell] = max(cell.workers, round(self.work[cell] * self._target / seconds))

    def _calibrate(self, cell: Cell) -> None:
        """Find how far the loop counts by itself in the time of a run."""
        self._pools[cell] = Serial()
        size = 1 << 10
        while True:
            job = WORKLOADS[CONTROL].make(size, self._asked.seed)
            self.work[cell], self._counting = size, (job, job.exact())
            seconds = self._run(cell).seconds
            if seconds >= self._target / 2:
                break
            size = 2 * size if seconds < self._target / 8 else 1 << math.ceil(math.log2(size * self._target / seconds))

    def _run(self, cell: Cell) -> Sample:
        return self._fetch(cell) if cell.workload == FETCH else self._count(cell)

    def _fetch(self, cell: Cell) -> Sample:
        # Only where it is installed is there such a cell.
        from parcount.studies.io.client import fetch, fetch_by_tasks, lost

        assert self._server is not None
        pages = range(self.work[cell])
        shares = [pages[start:stop] for start, stop in cuts(len(pages), cell.workers)]
        watch, server = Watch(), self._server.cpu()
        if cell.execution == ASYNCIO:
            function: Callable[..., list[bytes]] = partial(fetch_by_tasks, self._server.address, self._delay)
            fetched, seconds, cpu = self._together(cell, function, [shares])
        else:
            fetched, seconds, cpu = self._together(cell, partial(fetch, self._server.address, self._delay), shares)
        # With a server beside them, and more workers than cores, these wait for each other: that is no disturbance.
        waited = min(1.0, watch.taken(self.pids()) / available_cores())
        server = self._server.cpu() - server
        missing = lost([digest for share in fetched for digest in share], pages)
        return Sample(seconds, missing == 0, waited, missing, cpu, server)

    def _count(self, cell: Cell) -> Sample:
        assert self._counting is not None
        job, exact = self._counting
        ours = [os.getpid(), *self._pools[cell].pids()]
        before = waiting_time(ours) + stolen_time()
        partials, seconds, cpu = self._together(cell, WORKLOADS[CONTROL].kernels[LOOP], job.split(cell.workers))
        waited = waiting_time(ours) + stolen_time() - before
        counts = job.merge(partials)
        share = min(1.0, max(0.0, waited) / (seconds * cell.workers))
        return Sample(seconds, np.array_equal(counts, exact), share, cpu=cpu)

    def _together(
        self, cell: Cell, function: Callable[[Any], Any], items: Sequence[Any]
    ) -> tuple[list[Any], float, float]:
        """What a cell's workers give, the seconds from their start to the last one's end, and their CPU time."""
        answers, opened = self._pools[cell].together(partial(with_cpu_time, function), items)
        seconds = perf_counter() - opened
        return [answer for answer, _ in answers], seconds, sum(cpu for _, cpu in answers)


def _execution(cell: Cell) -> Execution:
    if cell.execution == "serial":
        return Serial()
    if cell.execution == ASYNCIO:
        return Threads(1)  # whose event loop may run beside one that the caller has
    return Threads(cell.workers) if cell.execution == "threads" else Processes(cell.workers, retries=0)


def _close_clients(pool: Execution) -> None:
    from parcount.studies.io.client import close_clients

    with suppress(Exception):  # what cannot be closed any more is closed
        pool.together(close_clients, [None] * pool.workers)
