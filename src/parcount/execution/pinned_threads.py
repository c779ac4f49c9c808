"""Threads that stay from call to call, each on cores of its own.

To start and to end threads takes longer than many a call. And a worker that is woken beside another is often put on
that one's core and left there for some milliseconds, which is all the time that a call on 20 million keys takes: two
threads are then no faster than one (``bench/test_dispatch.py``). So the cores are dealt out among the workers. That is
for our own loops only: whatever a worker starts inherits its cores, so users' functions are not run here.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise
from threading import Lock, Thread, current_thread

from parcount.execution.base import Execution
from parcount.execution.serial import Serial
from parcount.execution.threads import Threads


class PinnedThreads(Threads):
    """`Threads` that never share a core with each other, unless there are more of them than cores."""

    def __init__(self, workers: int) -> None:
        super().__init__(workers)
        self._threads: list[Thread] = []

    def _open(self) -> None:
        shares = iter(_split_cores(allowed_cores(), self.workers))

        def settle() -> None:
            self._threads.append(current_thread())
            if share := next(shares, None):
                with suppress(OSError):  # the cores have been taken away since: the system places the thread
                    os.sched_setaffinity(0, share)

        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="parcount", initializer=settle)


def pinned_threads(threads: int) -> Execution:
    """The standing team of so many threads; with one, the caller does everything itself.

    Parameters
    ----------
    threads : int
        How many.

    Raises
    ------
    TypeError, ValueError
        If it is no integer, or less than one.
    """
    wanted = Threads(threads).workers
    if wanted == 1:
        return Serial()
    key = wanted, allowed_cores()
    if (standing := _pools.get(key)) is None:
        with _creating:
            standing = _pools.get(key)
            if standing is None:
                standing = _pools[key] = PinnedThreads(wanted).__enter__()
    return standing


def live_threads() -> list[Thread]:
    """The threads of all standing teams."""
    return [thread for pool in list(_pools.values()) for thread in pool._threads]


def allowed_cores() -> frozenset[int]:
    """The cores that the calling thread may run on; none where the system does not tell."""
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()


def _split_cores(cores: frozenset[int], workers: int) -> list[list[int]]:
    """The cores, dealt out in neighbourhoods of nearly equal size; nothing if there are too few."""
    if len(cores) < workers:
        return []
    ordered = sorted(cores)
    bounds = [len(ordered) * worker // workers for worker in range(workers + 1)]
    return [ordered[start:stop] for start, stop in pairwise(bounds)]


_pools: dict[tuple[int, frozenset[int]], PinnedThreads] = {}
_creating = Lock()


def _forget() -> None:
    global _creating
    _creating = Lock()
    _pools.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)  # a forked child has none of its parent's threads
