"""What the tests of journals run in other processes."""

import os
from typing import Any

import parcount as pc
from tests.plain import TIME_LIMIT


def append_numbers(journal: pc.Journal, count: int, size: int = 0, barrier: Any = None) -> None:
    """Append "pid number" so often, with some bytes behind it."""
    if barrier is not None:
        barrier.wait(TIME_LIMIT)
    for number in range(count):
        journal.append(b"%d %d " % (os.getpid(), number) + bytes(size))
