"""Executions as executors: the workers of an execution behind the interface of `concurrent.futures.Executor`."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from concurrent.futures import wait as wait_for
from functools import partial
from itertools import chain
from os import getpid
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakSet, finalize

from parcount.execution.arguments import check_callable, integer
from parcount.execution.chunks import apply_star, apply_to_each, split

if TYPE_CHECKING:
    from parcount.execution.base import Execution


class ExecutionExecutor(Executor):
    """What `Execution.as_executor` returns.

    As with the executors of the standard library, the end of a ``with`` block and the end of the program wait for all
    calls that have been submitted, and the workers end if the executor is no longer referenced.
    """

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._max_workers = execution.concurrency  # other libraries look for it by this name
        self._lock = Lock()
        self._futures: WeakSet[Future[Any]] = WeakSet()
        self._session: _Session | None = None
        self._shut_down = False

    def __repr__(self) -> str:
        return f"{self._execution!r}.as_executor()"

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Submit a call as `Execution.submit` does; raises RuntimeError after `shutdown`."""
        check_callable(fn)
        with self._lock:
            if self._shut_down or _Session.exiting:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if self._session is None:
                self._session = _Session(self._execution)
                finalize(self, self._session.end, wait=False).atexit = False
            future = self._execution.submit(fn, *args, **kwargs)
            self._futures.add(future)
            return future

    def map(
        self,
        fn: Callable[..., Any],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        **options: Any,
    ) -> Iterator[Any]:
        """Apply a function to items as `concurrent.futures.Executor.map` does.

        A worker receives `chunksize` items at a time, as by `ProcessPoolExecutor.map`.
        """
        if integer("chunksize", chunksize) == 1:
            return super().map(fn, *iterables, timeout=timeout, **options)
        check_callable(fn)
        chunks = split(zip(*iterables, strict=False), chunksize)
        each = partial(apply_to_each, partial(apply_star, fn))
        return chain.from_iterable(super().map(each, chunks, timeout=timeout, **options))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers when all calls have ended, as `concurrent.futures.Executor.shutdown` does.

        They go on if the execution is also open in a ``with`` block elsewhere.
        """
        with self._lock:
            self._shut_down = True
            futures = list(self._futures)
        if cancel_futures:
            for future in futures:
                future.cancel()
        if wait:
            wait_for(futures)  # the execution may be used by others too, which keeps its workers
        if self._session is not None:
            self._session.end(wait=wait)


class _Session:
    """The time in which an executor uses the workers of an execution."""

    active: ClassVar[set[_Session]] = set()
    exiting: ClassVar[bool] = False

    def __init__(self, execution: Execution) -> None:
        self.execution = execution.__enter__()
        self.owner = getpid()
        self.active.add(self)

    def end(self, *, wait: bool) -> None:
        """Leave the execution, which waits for all calls and ends the workers."""
        try:
            self.active.remove(self)
        except KeyError:
            return
        if self.owner != getpid():
            return
        if not wait:
            try:
                Thread(target=self.execution.__exit__, args=(None, None, None), name="parcount-shutdown").start()
                return
            except RuntimeError:  # the interpreter is ending
                pass
        self.execution.__exit__(None, None, None)


@atexit.register  # after that of multiprocessing, which kills workers, so that it is called before
def _end_all() -> None:
    _Session.exiting = True
    for session in list(_Session.active):
        session.end(wait=True)
