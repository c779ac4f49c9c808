"""Threads for one count: as `Threads.imap_unordered`, without what `concurrent.futures` takes to import.

That is 25 ms, with the modules that it needs: as long as the lines of half a gigabyte take to count.
"""

from __future__ import annotations

import os
from _queue import SimpleQueue
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from threading import Thread

from parcount._native.cancellation import Cancellable
from parcount.system.cores import allowed_cores, split_cores

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def map_unordered(function: Callable[[Any], Any], items: Iterable[Any], threads: int) -> Iterator[Any]:
    """Yield the results of a function, each as soon as it is available.

    The items are taken from the iterable in this thread, at most ``2 * threads`` ahead of the results. If the caller
    stops, or an exception is raised here, in the iterable or in a thread, the compiled loops in the threads end. The
    threads are waited for.
    """
    work = Cancellable(function)
    tasks: SimpleQueue[Any] = SimpleQueue()
    results: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
    # Linux often starts two threads on one core and leaves them there for some milliseconds.
    cores = split_cores(allowed_cores(), threads) or [[]] * threads
    workers = [Thread(target=_run, args=(work, tasks, results, own), daemon=True) for own in cores]
    started = ahead = 0
    ended = False
    try:
        for item in items:
            if started < len(workers):
                try:
                    workers[started].start()
                    started += 1
                except RuntimeError:  # the limit of the system, or the interpreter ends
                    del workers[started:]
            if not workers:
                yield work(item)
                continue
            tasks.put((item,))
            ahead += 1
            if ahead >= 2 * threads:
                yield _result(results)
                ahead -= 1
        while ahead:
            yield _result(results)
            ahead -= 1
        ended = True
    finally:
        if not ended:
            work.cancel()
            while not tasks.empty():
                tasks.get()
        for _ in range(started):
            tasks.put(None)
        for worker in workers[:started]:
            worker.join()


def _result(results: SimpleQueue[tuple[Any, BaseException | None]]) -> Any:
    value, error = results.get()
    if error is not None:
        try:
            raise error
        finally:
            del error  # it would form a cycle with its traceback
    return value


def _run(work: Callable[[Any], Any], tasks: SimpleQueue[Any], results: SimpleQueue[Any], cores: list[int]) -> None:
    if cores:
        with suppress(OSError):  # they are no longer allowed: the system places the thread
            os.sched_setaffinity(0, cores)
    while (task := tasks.get()) is not None:
        try:
            results.put((work(task[0]), None))
        except BaseException as error:  # noqa: BLE001 - raised where the results are awaited
            results.put((None, error))
        del task
