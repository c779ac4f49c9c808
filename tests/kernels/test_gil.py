"""Which loops release the GIL: shown by what another thread gets done meanwhile, not by how long it takes.

With an endless switch interval a thread keeps the GIL until it gives it away by itself. From the reading of a counter
that another thread bumps, through the loop, to the second reading, only the loop can have given it away.
"""

import numpy as np
import pytest

from parcount.kernels import WORKLOADS
from tests.conftest import GIL, INSTALLED, Bumper
from tests.kernels.support import kernel
from tests.remote import until

pytestmark = [
    pytest.mark.skipif(not GIL, reason="there is no GIL to release"),
    pytest.mark.thread_unsafe(reason="sets the switch interval of all threads"),
]

RELEASING = [name for name in ("cython", "numba", "numba-parallel") if name in INSTALLED]


class Loop:
    """A kernel's loop on a table made beforehand: NumPy gives the GIL away when it allocates zeros."""

    def __init__(self, workload: str, variant: str) -> None:
        (part,) = WORKLOADS[workload].make(SIZE).split(1)
        self.arguments = (np.zeros(part.table, np.int64) if isinstance(part.table, int) else part.table, *part.args)
        self.run = kernel(workload, variant)
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
