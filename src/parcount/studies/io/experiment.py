"""The study of I/O: what more workers gain where Python waits for a network, and where it computes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from importlib import import_module
from time import perf_counter
from typing import Any, ClassVar

from parcount.engine.run import with_cpu_time
from parcount.execution.base import Execution
from parcount.execution.threads import Threads
from parcount.kernels import WORKLOADS, Counts, Job
from parcount.kernels.job import cuts
from parcount.studies.core.analysis import NOT_INSTALLED, NOT_SUPPORTED
from parcount.studies.core.cells import Cell, Sample, with_workers
from parcount.studies.core.counting import count_once
from parcount.studies.core.experiment import LEAST_WORK, Experiment
from parcount.studies.core.options import Option, names_option, parse_number, size_option, workers_option
from parcount.studies.io import verdict
from parcount.studies.io.server import Server
from parcount.studies.io.verdict import CONTROL, FETCH
from parcount.system.cores import parallel_cores

CLIENT, LOOP = "httpx", "python"
"""The variants: the library that fetches, and the loop in plain Python, which holds the GIL."""

ASYNCIO = "asyncio"
EXECUTIONS = ("serial", "threads", "processes", ASYNCIO)

WORKERS = (2, 8, 32)
"""Workers that wait need no core: more of them than cores can pay."""

DELAY = 10.0
"""Milliseconds that a request to another computer in the same network takes."""

PROBE = 2
"""Pages that each worker fetches before it is known how many fit in a run."""


def _check_delay(delay: float | None) -> float:
    delay = DELAY if delay is None else delay
    if not 0 <= delay <= 60_000:
        raise ValueError(f"the delay must be from 0 to 60000 milliseconds, not {delay}")
    return delay


class IoExperiment(Experiment):
    """Fetching pages from a server on this machine, and beside it the counting loop in plain Python."""

    name = "io"
    summary = "what threads, processes and asyncio gain where a program waits for a network, and where it computes"
    parameters = (
        names_option("executions", "execution", EXECUTIONS, ". Serial always runs: it is the baseline"),
        workers_option("numbers of workers that fetch; default: 2, 8, 32", lambda: WORKERS),
        size_option("pages in one run; default: what each cell fetches in its time", 1, "page"),
        Option(
            "delay",
            "--delay",
            "MS",
            "milliseconds that the server waits before each answer; default: 10",
            parse_number,
            _check_delay,
        ),
    )
    fixed_options: ClassVar[Mapping[str, Any]] = {"workloads": (FETCH, CONTROL), "variants": (CLIENT, LOOP)}
    unit_options: ClassVar[Mapping[str, Collection[str]]] = {"size": (FETCH,), "delay": (FETCH,)}
    target = 0.15  # in which each worker fetches some pages one after the other
    wrong = "WRONG PAGES OR COUNTS"
    all_exact = "gave every page as it was sent, and the exact counts"
    claims = staticmethod(verdict.claims)
    conclude = staticmethod(verdict.conclude)

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        self._delay = (self.options.delay or 0.0) / 1000
        self._server: Server | None = None
        self._jobs: dict[int, tuple[Job, Counts]] = {}

    def cells(self) -> tuple[list[Cell], dict[Cell, tuple[str, str]]]:
        """Return the cells that fetch, then those of the control, as `Experiment.cells`.

        The control runs with as many workers as there are cores, but at least two: more gain nothing.
        """
        fetching = with_workers(
            Cell(FETCH, CLIENT, "serial", 1, unit="page"), self.options.executions, self.options.workers
        )
        several = max(2, parallel_cores())
        control = [
            replace(cell, workers=1) if cell.execution == ASYNCIO else cell
            for cell in with_workers(Cell(CONTROL, LOOP, "serial", 1), self.options.executions, (several,))
        ]
        unmeasured = {
            cell: (NOT_SUPPORTED, "tasks switch where they wait, and this loop never waits: one worker would do it all")
            for cell in control
            if cell.execution == ASYNCIO
        }
        try:
            import_module(CLIENT)
        except ImportError as error:
            unmeasured |= dict.fromkeys(fetching, (NOT_INSTALLED, str(error)))
        return [*fetching, *control], unmeasured

    def pids(self) -> list[int]:
        """Return the ids of this process, of all workers, and of the server."""
        return [*super().pids(), *([] if self._server is None else [self._server.pid])]

    def open(self, cells: Sequence[Cell], progress: Callable[[str], None]) -> None:
        """Start the server."""
        if any(cell.workload == FETCH for cell in cells):
            progress("server")
            self._server = self._stack.enter_context(Server(self._delay))

    def pool_key(self, cell: Cell) -> Hashable:
        """Return the cell: each has workers of its own."""
        return cell

    @contextmanager
    def open_pool(self, cell: Cell) -> Iterator[Execution]:
        """Start workers; the clients of those that fetch are closed with them."""
        # The event loop of asyncio has a thread of its own: there may be one in the caller's.
        opened = Threads(1) if cell.execution == ASYNCIO else super().open_pool(cell)
        with opened as pool:
            try:
                yield pool
            finally:
                if cell.workload == FETCH and cell.execution != "processes":  # which close theirs by ending
                    _close_clients(pool)

    def waits_by_design(self, cell: Cell) -> bool:
        """Whether a cell fetches: workers and server, more than there are cores, wait for each other."""
        return cell.workload == FETCH

    def initial_work(self, cell: Cell) -> int:
        """Return the units of work in the first run: pages, or increments."""
        if cell.workload == FETCH:
            return self.options.size or PROBE * cell.workers
        return LEAST_WORK if cell.execution == "serial" else self.work[self.baseline(cell)]

    def calibrate(self, cell: Cell) -> None:
        """Choose how many pages a cell fetches, or how far the serial loop counts, in about the target time."""
        if cell.workload == FETCH:
            if self.options.size is None:
                pages = self.work[cell] * self.target / self.time(cell)
                self.work[cell] = max(cell.workers, round(pages))
        elif cell.execution == "serial":
            self.work[cell] = self.fitting_work(cell)

    def measure(self, cell: Cell) -> Sample:
        """Fetch, or count, once, and check every page, or the counts."""
        return self._fetch(cell) if cell.workload == FETCH else self._count(cell)

    def _fetch(self, cell: Cell) -> Sample:
        from parcount.studies.io.client import fetch, fetch_by_tasks, lost  # only where httpx is installed

        assert self._server is not None
        pages = range(self.work[cell])
        shares = [pages[start:stop] for start, stop in cuts(len(pages), cell.workers)]
        before = self._server.cpu()
        function: Callable[..., list[bytes]] = partial(fetch, self._server.address, self._delay)
        items: Sequence[Any] = shares
        if cell.execution == ASYNCIO:
            function, items = partial(fetch_by_tasks, self._server.address, self._delay), [shares]
        answers, opened = self.pool(cell).together(partial(with_cpu_time, function), items)
        seconds = perf_counter() - opened
        server = self._server.cpu() - before
        missing = lost([digest for fetched, _ in answers for digest in fetched], pages)
        return Sample(seconds, missing == 0, lost=missing, cpu=sum(cpu for _, cpu in answers), server=server)

    def _count(self, cell: Cell) -> Sample:
        size = self.work[cell]
        if size not in self._jobs:
            job = WORKLOADS[CONTROL].make(size, self.options.seed)
            self._jobs = {size: (job, job.exact())}
        return count_once(cell, *self._jobs[size], self.pool(cell), cpu=True)


def _close_clients(pool: Execution) -> None:
    from parcount.studies.io.client import close_clients

    with suppress(Exception):  # connections of a server that has died
        pool.together(close_clients, [None] * pool.workers)
