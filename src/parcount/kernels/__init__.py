"""The workloads, and every variant of their hot loops.

The names are imported when they are used: a worker of `Interpreters`, which cannot load NumPy, imports the modules of
this package that do without.

>>> import numpy as np
>>> from parcount import kernels
>>> workload = kernels.workload("bincount")
>>> job = workload.make(1000, seed=1)
>>> part, = job.split(1)
>>> counts = np.zeros(part.table, np.int64)
>>> counts = workload.kernels["cython"](counts, *part.args)
>>> bool((counts == job.exact()).all())
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parcount.kernels.registry import (
        VARIANTS,
        WORKLOADS,
        Counts,
        Job,
        Kernel,
        Part,
        Slices,
        TallyJob,
        Variant,
        Workload,
        workload,
    )

__all__ = [
    "VARIANTS",
    "WORKLOADS",
    "Counts",
    "Job",
    "Kernel",
    "Part",
    "Slices",
    "TallyJob",
    "Variant",
    "Workload",
    "workload",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from parcount.kernels import registry

        return getattr(registry, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
