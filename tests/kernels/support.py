"""What the tests of all workloads share."""

from functools import partial

import numpy as np

from parcount.kernels import VARIANTS, WORKLOADS, Counts, Job, Kernel
from parcount.kernels.job import count_part

GUARD = 8
"""Cells on each side of a guarded table."""

UNTOUCHED = -7_777_777


def kernel(workload: str, variant: str) -> Kernel:
    """A kernel; one with threads of its own uses as many as it can."""
    found = WORKLOADS[workload].kernels[variant]
    return partial(found, threads=most_threads()) if VARIANTS[variant].own_threads else found


def most_threads() -> int:
    from parcount.kernels import numba_loops

    return numba_loops.most_threads()


def counted(kernel: Kernel, job: Job, parts: int) -> Counts:
    """A job's counts, part by part."""
    return job.merge([count_part(kernel, part) for part in job.split(parts)])


class Guarded:
    """A table of zeros between cells that nobody may touch."""

    def __init__(self, bins: int) -> None:
        self.cells = np.full(bins + 2 * GUARD, UNTOUCHED)
        self.table = self.cells[GUARD : GUARD + bins]
        self.table[:] = 0

    def intact(self) -> bool:
        return bool((self.cells[:GUARD] == UNTOUCHED).all() and (self.cells[-GUARD:] == UNTOUCHED).all())
