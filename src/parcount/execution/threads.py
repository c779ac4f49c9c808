"""Threads of this process: no copies, and truly parallel where the function releases the GIL or there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from queue import SimpleQueue
from threading import Barrier
from time import perf_counter
from types import TracebackType
from typing import Any, Self

from parcount.execution.base import Execution, check_initializer
from parcount.execution.flow import Call, Outcome


class Threads(Execution):
    """`workers` threads, from the standard library's pool.

    Python code in them takes turns under the GIL; compiled code that releases it runs on all cores. An exception
    ends the call after the items already begun; those not yet begun are dropped.

    Parameters
    ----------
    workers : int, optional
        How many threads; all available cores by default.
    initializer : callable, optional
        What each thread calls before its first item. What it raises ends every call.
    initargs : tuple, optional
        With what.

    Examples
    --------
    >>> import parcount as pc
    >>> with pc.Threads(2) as threads:
    ...     threads.map(sum, [[1, 2], [3, 4]])
    [3, 7]
    """

    name = "threads"

    _pool: ThreadPoolExecutor

    def __init__(
        self,
        workers: int | None = None,
        *,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
    ) -> None:
        super().__init__(workers)
        check_initializer(initializer)
        self._initializer = initializer
        self._initargs = tuple(initargs)
        self._broken: BaseException | None = None

    def _open(self) -> None:
        self._broken = None
        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="parcount", initializer=self._set_up)

    def _close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _call(self, function: Callable[[Any], Any], once: bool) -> Call:  # noqa: ARG002
        return _Call(self._pool, self._checked(function))

    def _map(self, function: Callable[[Any], Any], items: Sequence[Any], once: bool) -> list[Any]:  # noqa: ARG002
        return self._run(self._checked(function), items)

    def _together(self, function: Callable[[Any], Any], items: Sequence[Any], once: bool) -> tuple[list[Any], float]:  # noqa: ARG002
        opened = perf_counter()

        def stamp() -> None:
            nonlocal opened
            opened = perf_counter()

        function = self._checked(function)
        barrier = Barrier(max(1, len(items)), action=stamp)

        def start(item: Any) -> Any:
            barrier.wait()
            return function(item)

        # A thread that could not be started, or Ctrl-C meanwhile: let those go that wait for it.
        return self._run(start, items, give_up=barrier.abort), opened

    def _set_up(self) -> None:
        if self._initializer is not None:
            try:
                self._initializer(*self._initargs)
            except BaseException as error:  # noqa: BLE001 - whatever it is, the caller is who must know
                self._broken = error  # raised here, it would go to the log, and break the pool without a reason

    def _checked(self, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """`function`, unless the initializer has failed."""
        if self._initializer is None:
            return function

        def checked(item: Any) -> Any:
            if self._broken is not None:
                raise self._broken
            return function(item)

        return checked

    def _run(
        self, function: Callable[[Any], Any], items: Sequence[Any], give_up: Callable[[], None] = lambda: None
    ) -> list[Any]:
        futures: list[Future[Any]] = []
        try:
            futures.extend(self._pool.submit(function, item) for item in items)
            return [futures[position].result() for position in range(len(futures))]
        except BaseException:
            give_up()
            while futures:  # from the last on: those not begun are dropped before those begun are waited for
                _end(futures.pop())
            raise


class _Call(Call):
    """One call's items in the queue of the pool, and its futures as they are done."""

    def __init__(self, pool: ThreadPoolExecutor, function: Callable[[Any], Any]) -> None:
        self.pool = pool
        self.function = function
        self.under_way: dict[Future[Any], int] = {}
        self.over: SimpleQueue[Future[Any]] = SimpleQueue()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self.under_way:  # from the last on: as after a failed `map`
            _end(self.under_way.popitem()[0])

    @property
    def room(self) -> bool:
        """Always: the pool has a queue."""
        return True

    @property
    def busy(self) -> bool:
        """Whether any item is not done."""
        return bool(self.under_way)

    def give(self, position: int, item: Any) -> None:
        """Put an item into the queue."""
        future = self.pool.submit(self.function, item)
        self.under_way[future] = position
        future.add_done_callback(self.over.put)

    def take(self) -> list[Outcome]:
        """The outcome of the item that is done next."""
        future = self.over.get()
        position, error = self.under_way.pop(future), future.exception()
        return [Outcome(position, future.result()) if error is None else Outcome(position, error=error)]


def _end(future: Future[Any]) -> None:
    if not future.cancel():
        wait([future])
