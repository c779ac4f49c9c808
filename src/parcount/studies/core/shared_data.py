"""Where a job's data lies during a study: in shared memory, so that every execution counts the same cells."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from parcount.kernels.job import Job
from parcount.shm.blocks import shared_array


def to_shared_memory(job: Job) -> Job:
    """A copy of `job` whose arrays lie in shared memory, where worker processes see them without a copy.

    Raises
    ------
    OSError
        If the system has not that much shared memory.
    """
    if not is_dataclass(job):
        raise TypeError(f"{type(job).__name__} is no dataclass: its arrays cannot be found")
    moved: dict[str, Any] = {}
    for field in fields(job):
        value = getattr(job, field.name)
        if isinstance(value, np.ndarray):
            moved[field.name] = shared_array(value.shape, value.dtype)
            moved[field.name][...] = value
    return replace(job, **moved)
