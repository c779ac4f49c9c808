"""Persistent threads, each pinned to cores of its own.

Starting and joining threads takes longer than many calls do. A thread that is woken beside another is also often placed
on the same core and stays there for some milliseconds, the time of a call on 20 million keys: two threads are then no
faster than one (``bench/test_dispatch.py``). So the threads are kept, and the cores are divided among them. Only this
package's own loops run here, because whatever a thread starts inherits its cores.
"""

from __future__ import annotations

import os
from concurrent.futures import Future
from contextlib import suppress
from threading import Barrier, BrokenBarrierError, Lock, Thread, current_thread, get_native_id
from typing import Any

from parcount.execution.arguments import integer
from parcount.execution.base import Execution
from parcount.execution.futures import run_now
from parcount.execution.serial import Serial
from parcount.execution.stream import Function
from parcount.execution.threads import Threads
from parcount.system.cores import allowed_cores, split_cores


class PinnedThreads(Threads):
    """`Threads` that never share a core with each other, unless there are more of them than cores."""

    def __init__(self, workers: int) -> None:
        super().__init__(workers)
        self._threads: list[Thread] = []

    def _open(self) -> None:
        """Start all threads.

        Raises
        ------
        RuntimeError
            If the system or the ending interpreter starts no more threads.
        """
        super()._open()
        cores = iter(split_cores(allowed_cores(), self.workers))
        started = Barrier(self.workers)
        caller = get_native_id()

        def pin() -> None:
            self._threads.append(current_thread())
            own = next(cores, None)
            if own and get_native_id() != caller:  # under gevent, threads are greenlets of the caller's thread
                with suppress(OSError):  # the cores are no longer allowed: the system places the thread
                    os.sched_setaffinity(0, own)
            with suppress(BrokenBarrierError):
                started.wait()  # a thread that waits takes no second item, so each item starts a thread

        try:
            for _ in range(self.workers):
                self._pool.submit(pin)
        except BaseException:
            started.abort()
            self._detach()()
            raise

    def _submit(self, function: Function, item: Any) -> Future[Any]:
        try:
            return super()._submit(function, item)
        except RuntimeError:  # the interpreter is ending and its pools accept no items: the caller runs it
            return run_now(function, item)


def pinned_threads(threads: int, number: int = 0) -> Execution:
    """The persistent pool of that many threads.

    `Serial` with one thread, and where no threads can be started: after the main thread has ended, or at the system's
    limit.

    Parameters
    ----------
    threads : int
        How many.
    number : int, optional
        Which one of several such pools.

    Raises
    ------
    TypeError
        If `threads` is not an integer.
    ValueError
        If `threads` is less than one.
    """
    if (threads := integer("threads", threads)) == 1:
        return Serial()
    key = threads, allowed_cores(), number
    if (pool := _pools.get(key)) is None:
        with _creating:
            if (pool := _pools.get(key)) is None:
                try:
                    pool = _pools[key] = PinnedThreads(threads).__enter__()
                except (RuntimeError, ImportError):  # late in the end of the interpreter nothing can be imported
                    return Serial()
    return pool


def live_threads() -> list[Thread]:
    """The threads of all pools."""
    return [thread for pool in list(_pools.values()) for thread in pool._threads]


_pools: dict[tuple[int, frozenset[int], int], PinnedThreads] = {}
_creating = Lock()


def _forget() -> None:
    global _creating
    _creating = Lock()
    _pools.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)  # a forked child has none of its parent's threads
