"""The workloads, and every variant of their hot loops.

>>> from parcount import kernels
>>> workload = kernels.workload("bincount")
>>> job = workload.make(1000, seed=1)
>>> part, = job.split(1)
>>> counts = workload.kernels["cython"](part)
>>> bool((counts == job.exact()).all())
True
"""

from __future__ import annotations

from collections.abc import Mapping

from parcount.kernels.bincount import Bincount, BincountJob
from parcount.kernels.histogram import Histogram, HistogramJob
from parcount.kernels.increment import Increment, IncrementJob
from parcount.kernels.job import VARIANTS, Counts, Job, Kernel, Part, Variant, Work, Workload
from parcount.kernels.tally import Tally, TallyJob

__all__ = [
    "VARIANTS",
    "WORKLOADS",
    "BincountJob",
    "Counts",
    "HistogramJob",
    "IncrementJob",
    "Job",
    "Kernel",
    "Part",
    "TallyJob",
    "Variant",
    "Work",
    "Workload",
    "workload",
]

WORKLOADS: Mapping[str, Workload] = {
    workload.name: workload for workload in (Tally(), Increment(), Bincount(), Histogram())
}
"""The workloads, by name."""


def workload(name: str) -> Workload:
    """The workload called `name`.

    Raises
    ------
    ValueError
        If there is none; names those that exist.
    """
    try:
        return WORKLOADS[name]
    except KeyError:
        raise ValueError(f"no workload {name!r}; there are {', '.join(WORKLOADS)}") from None
