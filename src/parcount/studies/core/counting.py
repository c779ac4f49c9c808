"""Cells that count a job: its data in shared memory, and one run."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from parcount.engine.run import Clock, run
from parcount.execution.base import Execution
from parcount.kernels import WORKLOADS, Counts, Job
from parcount.shm.blocks import shared_array
from parcount.studies.core.cells import Cell, Sample


def to_shared_memory(job: Job) -> Job:
    """Return a copy of a job whose arrays are in shared memory, which worker processes map.

    Raises
    ------
    OSError
        If the system has too little shared memory.
    """

    def shared(array: NDArray[Any]) -> NDArray[Any]:
        copy = shared_array(array.shape, array.dtype)
        copy[...] = array
        return copy

    return job.with_arrays(shared)


def count_once(cell: Cell, job: Job, exact: Counts | None, pool: Execution, *, cpu: bool = False) -> Sample:
    """Count a job by the kernel of a cell, and compare the counts with the exact ones, if given."""
    job.reset()
    counts = run(job, WORKLOADS[cell.workload].kernels[cell.variant], pool, clock := Clock(cpu=cpu))
    return Sample(clock.seconds, exact is None or np.array_equal(counts, exact), cpu=clock.cpu)
