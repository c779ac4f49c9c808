"""The executions that the tests run on."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing import get_all_start_methods
from typing import Any, get_args

import pytest

import parcount as pc
from parcount.execution.interpreters import missing
from parcount.execution.processes.execution import StartMethod

SLOW = pytest.mark.slow

# Nothing else runs in these tests' process while it forks, but Python cannot know that.
FORK_MARKS = [
    pytest.mark.forks,
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]

MARKS = {"fork": FORK_MARKS, "spawn": [SLOW] if len(get_all_start_methods()) > 1 else []}
"""Workers that are spawned import NumPy again: where there are other methods, most tests of this one are slow tests."""

METHODS = {method: MARKS.get(method, []) for method in get_all_start_methods() if method in get_args(StartMethod)}
"""How processes can be started here, and with which marks."""

START_METHODS = [pytest.param(method, marks=marks) for method, marks in METHODS.items()]

USUAL = {("fork", "shared_memory"), ("forkserver", "pipe"), ("forkserver", "queue")}
"""Each fast start method and each channel at least once. Slow tests have the other pairs, and pickle, which uses
the same channel as pipe."""

TRANSPORTED = [
    pytest.param(
        {"start_method": method, "transport": transport},
        id=f"{method}-{transport}",
        marks=METHODS[method] if (method, transport) in USUAL or len(METHODS) == 1 else [*METHODS[method], SLOW],
    )
    for method, transport in [
        *((method, "shared_memory") for method in METHODS),
        *((method, "queue") for method in METHODS if method != "spawn"),
        *((method, transport) for method in METHODS if method == "forkserver" for transport in ("pipe", "pickle")),
    ]
]
"""Start methods and transports: shared memory with each start method, so that leaked blocks are found."""

Make = Callable[[int], pc.Execution]


def serial(workers: int) -> pc.Execution:
    """Serial, which has one worker whatever is asked for."""
    return pc.Serial()


INTERPRETERS = [] if missing() else [pytest.param(pc.Interpreters, id="interpreters")]
"""None where this Python has none."""

POOLS = [pytest.param(pc.Threads, id="threads"), *INTERPRETERS]
"""Those whose workers are threads of this process."""

OURS = [
    *POOLS,
    *(
        pytest.param(partial(pc.Processes, start_method=method), id=f"processes-{method}", marks=marks)
        for method, marks in METHODS.items()
    ),
    pytest.param(partial(pc.Processes, threads=2), id="processes-threads"),
    pytest.param(partial(pc.Processes, transport="queue"), id="processes-queue"),
]


def adopted(workers: int) -> pc.Execution:
    """Threads of the standard library's executor: `test_adopted` has those that need more than Python."""
    return pc.Adopted(ThreadPoolExecutor(workers))


PARALLEL = [*OURS, pytest.param(adopted, id="adopted")]
ALL = [pytest.param(serial, id="serial"), *PARALLEL]


def cells(execution: pc.Execution, number: int) -> Any:
    """Zeros that the caller and all workers share."""
    made = pc.shared_array(number)
    return made if execution.supports_numpy else made.data
