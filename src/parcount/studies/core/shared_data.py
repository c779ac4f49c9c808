"""The data of a job in shared memory, so that threads and processes count the same elements."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from parcount.kernels.job import Job
from parcount.shm.blocks import shared_array


def to_shared_memory(job: Job) -> Job:
    """Return a copy of `job` whose arrays are in shared memory, which worker processes map.

    Raises
    ------
    OSError
        If the system has not that much shared memory.
    """

    def shared(array: NDArray[Any]) -> NDArray[Any]:
        copy = shared_array(array.shape, array.dtype)
        copy[...] = array
        return copy

    return job.with_arrays(shared)
