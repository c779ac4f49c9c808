"""The kinds of counters, and threads that begin together."""

import os
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from sys import getswitchinterval, setswitchinterval
from threading import Barrier, Thread
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


@contextmanager
def frequent_switches() -> Iterator[None]:
    """Threads that take turns under the GIL do so as often as can be."""
    usual = getswitchinterval()
    setswitchinterval(1e-6)
    try:
        yield
    finally:
        setswitchinterval(usual)


def together(*functions: Callable[[], Any]) -> list[Any]:
    """What functions return, each in a thread of its own, all from one instant; or the first error that one raises."""
    barrier = Barrier(len(functions))
    results: list[Any] = [None] * len(functions)
    errors: list[BaseException] = []

    def run(position: int) -> None:
        try:
            barrier.wait(TIME_LIMIT)
            results[position] = functions[position]()
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    threads = [Thread(target=run, args=(position,), daemon=True) for position in range(len(functions))]
    with frequent_switches():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIME_LIMIT)
    if errors:
        raise errors[0]
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
    return results


def in_a_thread(function: Callable[[], Any]) -> Any:
    """What a function returns in a thread that ends with it."""
    (result,) = together(function)
    return result


def repeat(function: Callable[[], Any], times: int) -> Callable[[], None]:
    """A function that calls another so often."""

    def run() -> None:
        for _ in range(times):
            function()

    return run


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
