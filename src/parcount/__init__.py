"""parcount counts on every core.

The names below are the public face. Each is loaded by its first use, so that ``import parcount`` costs little more
than ``import numpy``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parcount.arrays.bincount import bincount
    from parcount.arrays.histogram import histogram
    from parcount.arrays.histogramdd import histogram2d, histogramdd
    from parcount.arrays.scatter import add_at, increment
    from parcount.arrays.tally import tally
    from parcount.arrays.unique import unique_counts
    from parcount.costmodel import Plan, plan
    from parcount.counters.array import CounterArray
    from parcount.counters.atomic import AtomicCounter
    from parcount.counters.concurrent import ConcurrentCounter
    from parcount.counters.local import LocalCounter
    from parcount.counters.locked import LockedCounter
    from parcount.counters.sharded import ShardedCounter
    from parcount.counters.shared import SharedCounter
    from parcount.execution.adopted import Adopted
    from parcount.execution.base import Execution
    from parcount.execution.cores import available_cores
    from parcount.execution.errors import WorkerDied
    from parcount.execution.interpreters import Interpreters
    from parcount.execution.policy import get_grain, get_num_threads, set_grain, set_num_threads
    from parcount.execution.processes import Processes
    from parcount.execution.serial import Serial
    from parcount.execution.threads import Threads
    from parcount.shm.blocks import shared_array
    from parcount.studies import Study, study
    from parcount.studies.counters import study_counters
    from parcount.studies.io import study_io
    from parcount.studies.transports import study_transports

__all__ = [
    "Adopted",
    "AtomicCounter",
    "ConcurrentCounter",
    "CounterArray",
    "Execution",
    "Interpreters",
    "LocalCounter",
    "LockedCounter",
    "Plan",
    "Processes",
    "Serial",
    "ShardedCounter",
    "SharedCounter",
    "Study",
    "Threads",
    "WorkerDied",
    "add_at",
    "available_cores",
    "bincount",
    "get_grain",
    "get_num_threads",
    "histogram",
    "histogram2d",
    "histogramdd",
    "increment",
    "plan",
    "set_grain",
    "set_num_threads",
    "shared_array",
    "study",
    "study_counters",
    "study_io",
    "study_transports",
    "tally",
    "unique_counts",
]

_HOMES = {
    "Adopted": "parcount.execution.adopted",
    "AtomicCounter": "parcount.counters.atomic",
    "ConcurrentCounter": "parcount.counters.concurrent",
    "CounterArray": "parcount.counters.array",
    "Execution": "parcount.execution.base",
    "Interpreters": "parcount.execution.interpreters",
    "LocalCounter": "parcount.counters.local",
    "LockedCounter": "parcount.counters.locked",
    "Plan": "parcount.costmodel",
    "Processes": "parcount.execution.processes",
    "Serial": "parcount.execution.serial",
    "ShardedCounter": "parcount.counters.sharded",
    "SharedCounter": "parcount.counters.shared",
    "Study": "parcount.studies",
    "Threads": "parcount.execution.threads",
    "WorkerDied": "parcount.execution.errors",
    "add_at": "parcount.arrays.scatter",
    "available_cores": "parcount.execution.cores",
    "bincount": "parcount.arrays.bincount",
    "get_grain": "parcount.execution.policy",
    "get_num_threads": "parcount.execution.policy",
    "histogram": "parcount.arrays.histogram",
    "histogram2d": "parcount.arrays.histogramdd",
    "histogramdd": "parcount.arrays.histogramdd",
    "increment": "parcount.arrays.scatter",
    "plan": "parcount.costmodel",
    "set_grain": "parcount.execution.policy",
    "set_num_threads": "parcount.execution.policy",
    "shared_array": "parcount.shm.blocks",
    "study": "parcount.studies",
    "study_counters": "parcount.studies.counters",
    "study_io": "parcount.studies.io",
    "study_transports": "parcount.studies.transports",
    "tally": "parcount.arrays.tally",
    "unique_counts": "parcount.arrays.unique",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("parcount")
    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
