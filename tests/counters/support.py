"""The kinds of counters, and the segments that they lie in."""

import os
import sys
import sysconfig
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

import parcount as pc
from tests.remote import TIME_LIMIT

LEAST, MOST = -(1 << 63), (1 << 63) - 1

ONE_CELL: dict[str, Any] = {"locked": pc.LockedCounter, "atomic": pc.AtomicCounter, "shared": pc.SharedCounter}
"""Those whose `add` and `increment` return the new value."""

SPREAD: dict[str, Any] = {"sharded": pc.ShardedCounter, "local": pc.LocalCounter}

UNNOTICED = 75 if sysconfig.get_config_var("Py_GIL_DISABLED") else 25
"""Blocks of memory that Python may keep after 50 counters: without a GIL, one for each thread that has ended."""

SCALARS = ONE_CELL | SPREAD

OF_ONE_PROCESS = [name for name in SCALARS if name != "shared"]


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the process that made it unlinks it")

MARK = f"test{os.getpid()}-"
"""What the names of segments that these tests make begin with: others may run them at the same time."""


def left() -> set[str]:
    """The segments of these tests that there are; only Linux can list them."""
    return {path.name for path in Path("/dev/shm").glob(f"parcount-{MARK}*")}


def exists(name: str | None) -> bool:
    """Whether others can still find a segment."""
    return Path(f"/dev/shm/parcount-{name}").exists()


Start = Callable[[Any, tuple[Any, ...]], BaseProcess]


def ended(process: BaseProcess) -> int:
    """The exit code of a process that ends."""
    process.join(TIME_LIMIT)
    assert process.exitcode is not None, "it goes on"
    return int(process.exitcode)
