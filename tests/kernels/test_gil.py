"""Which loops release the GIL: shown by what another thread gets done meanwhile, not by how long it takes.

With an endless switch interval a thread keeps the GIL until it gives it away by itself. From the reading of a counter
that another thread bumps, through the loop, to the second reading, only the loop can have given it away.
"""

import sys
import sysconfig
import threading
import time
from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest

from parcount.kernels import WORKLOADS
from tests.conftest import INSTALLED
from tests.kernels.support import kernel
from tests.remote import TIME_LIMIT, until

pytestmark = pytest.mark.skipif(
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")) and not getattr(sys, "_is_gil_enabled", lambda: True)(),
    reason="there is no GIL to release",
)

RELEASING = [name for name in ("cython", "numba", "numba-parallel") if name in INSTALLED]


class Bumper:
    """A thread that adds one to `count` whenever it gets the GIL, and then gives it back."""

    def __init__(self) -> None:
        self.count = 0
        self.stopped = False
        self.started = threading.Event()
        self.thread = threading.Thread(target=self.bump)

    def bump(self) -> None:
        self.started.set()
        while not self.stopped:
            self.count += 1
            time.sleep(0.0001)  # the only thing that makes it let go


@pytest.fixture
def bumper() -> Iterator[Bumper]:
    bumper = Bumper()
    interval = sys.getswitchinterval()
    bumper.thread.start()
    assert bumper.started.wait(TIME_LIMIT)
    try:
        sys.setswitchinterval(1000)
        # Once more round: it may yet be waiting, with the old interval, to ask for the GIL.
        seen = bumper.count
        until(lambda: bumper.count > seen + 1, "the other thread never ran")
        yield bumper
    finally:
        bumper.stopped = True
        sys.setswitchinterval(interval)
        bumper.thread.join(TIME_LIMIT)


class Loop:
    """A kernel's loop on a table made beforehand: NumPy gives the GIL away when it allocates zeros."""

    def __init__(self, workload: str, variant: str) -> None:
        found = kernel(workload, variant)
        (part,) = WORKLOADS[workload].make(SIZE).split(1)
        self.arguments = (np.zeros(part.out, np.int64) if isinstance(part.out, int) else part.out, *part.args)
        self.run = partial(found.load(), threads=found.threads) if found.own_threads else found.load()
        self.run(*self.arguments)  # compiles, where there is a compiler

    def bumps(self, bumper: Bumper) -> int:
        """How often the other thread had the GIL while the loop ran."""
        before = bumper.count
        self.run(*self.arguments)
        return bumper.count - before


SIZE = 1 << 20
"""A millisecond or more of each loop: a hundred times what the other thread needs, if it is let."""


@pytest.mark.parametrize("workload", WORKLOADS)
def test_the_control_holds_it(workload: str, bumper: Bumper) -> None:
    loop = Loop(workload, "cython-gil")
    assert [loop.bumps(bumper) for _ in range(50)] == [0] * 50


@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("variant", RELEASING)
def test_the_others_release_it(workload: str, variant: str, bumper: Bumper) -> None:
    # The system may let the other thread wait for a core all through one run, but not through all of them.
    loop = Loop(workload, variant)
    until(lambda: loop.bumps(bumper) > 0, "the other thread never ran during the loop")
