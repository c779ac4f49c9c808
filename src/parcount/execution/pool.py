"""The base class of `Threads` and `Interpreters`, whose workers are threads of this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from itertools import count
from os import getpid
from queue import Empty
from threading import Barrier, current_thread
from time import perf_counter
from typing import TYPE_CHECKING, Any

from parcount.execution.arguments import check_callable
from parcount.execution.base import Close, Submitted, check_owner
from parcount.execution.chunks import apply_call
from parcount.execution.futures import FutureExecution, FuturesStream
from parcount.execution.stream import Function
from parcount.system.cores import current_share, set_share

try:
    from parcount._native.cancellation import Cancellable
except ImportError:  # in a subinterpreter, where compiled modules do not load: it has no loops to end
    Cancellable = None  # type: ignore[assignment, misc]

if TYPE_CHECKING:  # its module cannot be imported once the main thread has ended
    from concurrent.futures import ThreadPoolExecutor


class Pool(FutureExecution):
    """`workers` threads of a `ThreadPoolExecutor`, with the parameters of `Threads`."""

    _pool: ThreadPoolExecutor

    def __init__(
        self,
        workers: int | None = None,
        *,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
    ) -> None:
        super().__init__(workers)
        if initializer is not None:
            check_callable(initializer, "initializer")
        self._initializer = initializer
        self._initargs = tuple(initargs)
        self._broken: BaseException | None = None
        self._ends: dict[Future[Any], Callable[[], object]] = {}  # of submitted calls

    def _set_up(self) -> None:
        """Prepare a thread; an exception in it ends every call."""
        set_share(self._share.part(next(self._numbers), self.workers))
        if self._initializer is not None:
            self._initializer(*self._initargs)

    def _work(self, function: Function) -> Function:
        """Return the function that a thread applies to an item."""
        if self._initializer is None:
            return function

        def checked(item: Any) -> Any:
            self._check_set_up()
            return function(item)

        return checked

    def _hold(self, function: Function) -> Callable[[Any], Callable[[], Any]]:
        """Return a function that takes an item before the barrier and returns the call to make after it."""
        return partial(partial, self._work(function))

    def _open(self) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self._broken = None
        self._owner = getpid()
        self._share = current_share()
        self._numbers = count()
        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="parcount", initializer=self._try_to_set_up)

    def _unfinished(self) -> list[Future[Any]]:
        return list(self._ends) if self._owner == getpid() else []

    def _detach(self) -> Close:
        pool, ends = self._pool, self._ends
        self._ends = {}

        def close() -> None:
            for end in list(ends.values()):
                end()
            _drop_waiting(pool)
            # A call in a callback of a future, in one of these threads, may be the last to leave.
            pool.shutdown(wait=current_thread() not in pool._threads)

        return close

    def _submit(self, function: Function, item: Any) -> Future[Any]:
        check_owner(self._owner)  # in a forked child the threads do not exist, and the call would wait for ever
        return self._pool.submit(function, item)

    def _submit_call(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Submitted:
        self._check_open()
        work, cancel = _cancellable(self._work(apply_call))
        future = self._submit(work, (self._prepare(function, ()), args, kwargs))

        def end() -> None:
            if not future.cancel():
                cancel()

        self._ends[future] = end
        future.add_done_callback(self._ends.pop)
        return Submitted(future, end)

    def _open_stream(self, function: Function, idempotent: bool) -> FuturesStream:
        work, cancel = _cancellable(self._work(function))
        return FuturesStream(self, work, on_interrupt=cancel)

    def _together(self, function: Function, items: Sequence[Any], idempotent: bool) -> tuple[list[Any], float]:
        opened = perf_counter()

        def stamp() -> None:
            nonlocal opened
            opened = perf_counter()

        hold = self._hold(function)
        barrier = Barrier(max(1, len(items)), action=stamp)

        def start(item: Any) -> Any:
            try:
                go = hold(item)
            finally:  # the others wait for this thread, also if it has failed
                barrier.wait()
            return go()

        work, cancel = _cancellable(start)
        # Threads wait in vain if another could not be started, or after an interrupt.
        return FuturesStream(self, work, on_failure=barrier.abort, on_interrupt=cancel).run(items), opened

    def _try_to_set_up(self) -> None:
        try:
            self._set_up()
        except BaseException as error:  # noqa: BLE001 - raised in each call, with its type and traceback
            self._broken = error  # raised here, it would be logged, and replaced by BrokenThreadPool

    def _check_set_up(self) -> None:
        if self._broken is not None:
            raise self._broken


def _drop_waiting(pool: ThreadPoolExecutor) -> None:
    """Cancel the calls that no thread has begun; `shutdown` would not notify those who `wait` for their futures."""
    while True:
        try:
            item = pool._work_queue.get_nowait()
        except Empty:
            return
        if item is not None and item.future.cancel():
            item.future.set_running_or_notify_cancel()


def _cancellable(function: Function) -> tuple[Function, Callable[[], None]]:
    """The function for the workers, and what ends the compiled loops in it."""
    if Cancellable is None:
        return function, lambda: None
    work = Cancellable(function)
    return work, work.cancel
