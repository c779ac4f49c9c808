"""The study of the GIL: how each variant of a counting loop scales with threads, processes and interpreters."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from parcount.execution.base import Execution
from parcount.execution.interpreters import missing, refusal
from parcount.kernels import VARIANTS, WORKLOADS, Counts, Job
from parcount.kernels.registry import Bincount
from parcount.studies.core.analysis import NOT_INSTALLED, NOT_SUPPORTED
from parcount.studies.core.cells import Cell, Sample, with_workers
from parcount.studies.core.counting import count_once, to_shared_memory
from parcount.studies.core.experiment import Experiment
from parcount.studies.core.options import (
    Option,
    Options,
    names,
    names_option,
    parse_names,
    size_option,
    worker_counts,
    workers_option,
)
from parcount.studies.gil import verdict
from parcount.system.cores import spread

EXECUTIONS = ("serial", "threads", "processes", "interpreters")

MOST_BYTES = 1 << 28
"""Bytes of a file that are counted at most: a tenth of a second of the fastest variant."""

LEAST_DATA = 1 << 16
"""Elements below which a job is not made smaller to fit into the shared memory that there is."""


class GilExperiment(Experiment):
    """Variants × executions × workers of counting loops."""

    name = "gil"
    summary = "how a counting loop scales: each variant under each execution"
    parameters = (
        Option(
            "workloads",
            "--workload",
            "LIST",
            f"of {', '.join(WORKLOADS)}, or all; default: tally",
            lambda text: list(WORKLOADS) if text.strip() == "all" else parse_names(text),
            lambda asked: names("workload", asked, WORKLOADS, default=("tally",)),
        ),
        names_option("variants", "variant", VARIANTS),
        names_option(
            "executions", "execution", EXECUTIONS, " that this Python has. Serial always runs: it is the baseline"
        ),
        workers_option("numbers of workers; default: 1, 2, ... all available cores", worker_counts),
        size_option("increments in one run; default: what each variant does in about a twentieth of a second"),
        Option(
            "data",
            "--data",
            "FILE",
            "count the bytes of this file, with the bincount workload",
            str,
            lambda path: None if path is None else os.fspath(path),
        ),
    )
    unit_options: ClassVar[Mapping[str, Collection[str]]] = {"size": (), "data": ("bincount",)}
    # In shorter runs the milliseconds count that the system needs to spread the workers over the cores.
    target = 0.05
    claims = staticmethod(verdict.claims)
    conclude = staticmethod(verdict.conclude)

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        self._data: dict[str, Job] = {}
        self._jobs: dict[tuple[str, int], tuple[Job, Counts]] = {}

    @classmethod
    def check_options(cls, *, workloads: Any = None, executions: Any = None, data: Any = None, **given: Any) -> Options:
        """Check options and fill in defaults, as `Experiment.check_options`."""
        if data is not None and workloads is None:
            workloads = "bincount"
        if executions is None and missing():
            executions = EXECUTIONS[:-1]
        options = super().check_options(workloads=workloads, executions=executions, data=data, **given)
        if data is not None and "bincount" not in options.workloads:
            raise ValueError("only the bincount workload counts the bytes of a file: name bincount, or no workload")
        return options

    def cells(self) -> tuple[list[Cell], dict[Cell, tuple[str, str]]]:
        """Return the cells in the order of workloads, variants, executions, workers, as `Experiment.cells`."""
        cells: list[Cell] = []
        unmeasured: dict[Cell, tuple[str, str]] = {}
        absent = {name: VARIANTS[name].missing() for name in self.options.variants}
        for workload in self.options.workloads:
            kernels = WORKLOADS[workload].kernels
            for variant in self.options.variants:
                if variant not in kernels:
                    continue
                row = with_workers(Cell(workload, variant, "serial", 1), self.options.executions, self.options.workers)
                cells += row
                for cell in row:
                    if reason := absent[variant]:
                        unmeasured[cell] = NOT_INSTALLED, reason
                    elif (
                        VARIANTS[variant].own_threads
                        and cell.execution == "threads"
                        and (most := _numba_threads()) < cell.workers
                    ):
                        unmeasured[cell] = NOT_SUPPORTED, f"Numba has {most} threads here (NUMBA_NUM_THREADS)"
                    elif cell.execution == "interpreters" and (
                        reason := missing() or refusal(kernels[variant].__module__)
                    ):
                        unmeasured[cell] = NOT_SUPPORTED, reason
        return cells, unmeasured

    def open(self, cells: Sequence[Cell], progress: Callable[[str], None]) -> None:
        """Make the data of each workload, in shared memory, so that threads and processes count the same elements."""
        self._stack.callback(self._jobs.clear)
        self._stack.callback(self._data.clear)
        for workload in dict.fromkeys(cell.workload for cell in cells):
            progress(f"data for {workload}")
            self._data[workload] = self._make(workload)

    def _make(self, workload: str) -> Job:
        """Return a workload's data, as large as any cell needs it, and as fits."""
        options = self.options
        job: Job
        if options.data is not None and workload == "bincount":
            data = file_bytes(options.data)
            job = Bincount().over(data[: MOST_BYTES if options.size is None else options.size])
        else:
            size = WORKLOADS[workload].largest if options.size is None else options.size
            job = WORKLOADS[workload].make(size, options.seed)
        while True:
            try:
                return to_shared_memory(job)
            except OSError as error:
                if error.errno != errno.ENOSPC or options.size is not None or job.size <= LEAST_DATA:
                    raise
                job = job.head(job.size // 4)

    @contextmanager
    def open_pool(self, cell: Cell) -> Iterator[Execution]:
        """Start workers; processes are bound to a core each, where there are enough.

        Linux often wakes two processes on one core and moves one of them some milliseconds later, a large part of a
        run of a few hundredths of a second.
        """
        with super().open_pool(cell) as pool:
            spread(pool.pids())
            yield pool

    def most_work(self, cell: Cell) -> int:
        """Return the elements that there are."""
        return self._data[cell.workload].size

    def measure(self, cell: Cell) -> Sample:
        """Count once, and compare the counts with the exact ones."""
        key = cell.workload, self.work[cell]
        if key not in self._jobs:
            job = self._data[cell.workload].head(self.work[cell])
            job.reset()
            self._jobs[key] = job, job.exact()
        return count_once(cell, *self._jobs[key], self.pool(cell))

    def time(self, cell: Cell) -> float:
        """Return the seconds of one run, without a check, which would need the exact counts for every size."""
        return count_once(cell, self._data[cell.workload].head(self.work[cell]), None, self.pool(cell)).seconds


def file_bytes(path: str) -> NDArray[np.uint8]:
    """Map the bytes of a file; OSError if it cannot be read."""
    with open(path, "rb") as file:  # noqa: PTH123 - the path may be any that the system takes
        if os.fstat(file.fileno()).st_size == 0:
            return np.zeros(0, np.uint8)
        return np.memmap(file, np.uint8, mode="r")


def _numba_threads() -> int:
    from parcount.kernels.numba_loops import most_threads

    return most_threads()
