"""The data of a job in shared memory, so that threads and processes count the same elements."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from parcount.kernels.job import Job
from parcount.shm.blocks import shared_array


def to_shared_memory(job: Job) -> Job:
    """Return a copy of `job` whose arrays are in shared memory, which worker processes map.

    Raises
    ------
    OSError
        If the system has not that much shared memory.
    """
    if not is_dataclass(job):
        raise TypeError(f"{type(job).__name__} is not a dataclass: its arrays cannot be found")
    moved: dict[str, Any] = {}
    for field in fields(job):
        value = getattr(job, field.name)
        if isinstance(value, np.ndarray):
            moved[field.name] = shared_array(value.shape, value.dtype)
            moved[field.name][...] = value
    return replace(job, **moved)
