"""The types of counters, and the segments that they use."""

import os
import sys
import sysconfig
from collections.abc import Callable
from itertools import pairwise
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

import parcount as pc
from tests.remote import TIME_LIMIT

LEAST, MOST = -(1 << 63), (1 << 63) - 1

ONE_CELL: dict[str, Any] = {"locked": pc.LockedCounter, "atomic": pc.AtomicCounter, "shared": pc.SharedCounter}
"""The counters whose `add` and `increment` return the new value."""

PER_THREAD: dict[str, Any] = {"sharded": pc.ShardedCounter, "local": pc.LocalCounter}

SCALARS = ONE_CELL | PER_THREAD

NOT_SHARED = [name for name in SCALARS if name != "shared"]


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the process that made it unlinks it")

MARK = f"test{os.getpid()}-"
"""Prefix of the segments of these tests: other runs may be active."""


def left() -> set[str]:
    """The segments of these tests that exist; only Linux lists them."""
    return {path.name for path in Path("/dev/shm").glob(f"parcount-{MARK}*")}


def exists(name: str | None) -> bool:
    """Whether a segment has its name."""
    return Path(f"/dev/shm/parcount-{name}").exists()


Start = Callable[[Any, tuple[Any, ...]], BaseProcess]


def leaks(count: Callable[[], object]) -> bool:
    """Whether each of 50 calls keeps a block of memory: each round then does, while what Python itself keeps varies."""
    # Without a GIL, Python keeps one for each ended thread.
    allowed = 75 if sysconfig.get_config_var("Py_GIL_DISABLED") else 25

    def blocks() -> int:
        for _ in range(50):
            count()
        return sys.getallocatedblocks()

    blocks()
    rounds = [blocks() for _ in range(6)]
    return min(later - earlier for earlier, later in pairwise(rounds)) >= allowed


def ended(process: BaseProcess) -> int:
    """Wait for a process; return its exit code."""
    process.join(TIME_LIMIT)
    assert process.exitcode is not None, "it goes on"
    return int(process.exitcode)
