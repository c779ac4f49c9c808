"""The executions that the tests run on."""

from collections.abc import Callable
from functools import partial
from multiprocessing import get_all_start_methods

import pytest

import parcount as pc

# Nothing else runs in these tests' process while it forks, but Python cannot know that.
FORK_MARKS = [
    pytest.mark.forks,
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]

METHODS = {method: FORK_MARKS if method == "fork" else [] for method in get_all_start_methods()}
"""How processes can be started here, and with which marks."""

START_METHODS = [pytest.param(method, marks=marks) for method, marks in METHODS.items()]

Make = Callable[[int], pc.Execution]


def serial(workers: int) -> pc.Execution:
    """Serial, which has one worker whatever is asked for."""
    return pc.Serial()


PARALLEL = [
    pytest.param(pc.Threads, id="threads"),
    *(
        pytest.param(partial(pc.Processes, start_method=method), id=f"processes-{method}", marks=marks)
        for method, marks in METHODS.items()
    ),
]
ALL = [pytest.param(serial, id="serial"), *PARALLEL]
