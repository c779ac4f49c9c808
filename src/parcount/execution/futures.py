"""Executions that submit each item as a `concurrent.futures.Future`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, wait
from contextlib import suppress
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import Any

from parcount.execution.base import Execution, Submitted
from parcount.execution.chunks import apply_call
from parcount.execution.fair_lock import MAX_WAIT
from parcount.execution.stream import Function, Outcome, TaskStream


class FutureExecution(Execution):
    """An execution whose items become futures."""

    @abstractmethod
    def _submit(self, function: Function, item: Any) -> Future[Any]:
        """Submit an item."""

    def _translate(self, position: int, error: BaseException) -> None:
        """Raise a clearer exception for the item at a position in place of the executor's, or return."""

    def _submit_call(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Submitted:
        self._check_open()
        future = self._submit(apply_call, (self._prepare(function, ()), args, kwargs))
        return Submitted(future, future.cancel)

    def _open_stream(self, function: Function, idempotent: bool) -> FuturesStream:
        return FuturesStream(self, function)

    def _map(
        self,
        function: Function,
        items: Sequence[Any],
        idempotent: bool,
        progress: Callable[[int, int], object] | None,
        chunksize: int | None,
    ) -> list[Any]:
        if progress is not None:
            return super()._map(function, items, idempotent, progress, chunksize)
        return self._run_all(function, items, idempotent)

    def _run_all(self, function: Function, items: Sequence[Any], idempotent: bool) -> list[Any]:
        """Return the results of all items, in order."""
        return self._open_stream(function, idempotent).run(items)

    def _together(self, function: Function, items: Sequence[Any], idempotent: bool) -> tuple[list[Any], float]:
        opened = perf_counter()
        return self._run_all(function, items, idempotent), opened


class FuturesStream(TaskStream):
    """The futures of one call, in the order in which they are done.

    Parameters
    ----------
    execution : FutureExecution
        Submits the items.
    function : callable
        Of one item.
    on_failure : callable, optional
        Called after a failure, before running items are awaited.
    on_interrupt : callable, optional
        Called if the caller is interrupted, to end running items.
    """

    def __init__(
        self,
        execution: FutureExecution,
        function: Function,
        *,
        on_failure: Callable[[], None] = lambda: None,
        on_interrupt: Callable[[], None] = lambda: None,
    ) -> None:
        self.execution = execution
        self.function = function
        self.on_failure = on_failure
        self.on_interrupt = on_interrupt
        self.pending: dict[Future[Any], int] = {}
        self.done: SimpleQueue[Future[Any]] = SimpleQueue()

    def close(self, error: BaseException | None) -> None:
        """Cancel items that have not begun, and wait for the others."""
        if error is not None:
            self.on_failure()
            if not isinstance(error, Exception | GeneratorExit):  # such as Ctrl-C
                self.on_interrupt()
        while self.pending:  # the last first: items that have not begun are cancelled before the others are awaited
            future, _ = self.pending.popitem()
            if not future.cancel():
                wait([future])

    @property
    def busy(self) -> bool:
        """Whether submitted items have no outcome yet."""
        return bool(self.pending)

    def submit(self, position: int, item: Any) -> None:
        """Submit an item."""
        self._add(position, item).add_done_callback(self.done.put)

    def poll(self) -> list[Outcome]:
        """Return the outcome of the next item that is done."""
        future = None
        while future is None:
            with suppress(Empty):
                future = self.done.get(timeout=MAX_WAIT)
        position = self.pending.pop(future)
        error = CancelledError() if future.cancelled() else future.exception()
        if error is None:
            return [Outcome(position, future.result())]
        try:
            self.execution._translate(position, error)
        except Exception as translated:  # noqa: BLE001 - raised where its result would have been
            return [Outcome(position, error=translated)]  # another reference would form a cycle
        return [Outcome(position, error=error)]

    def run(self, items: Sequence[Any]) -> list[Any]:
        """Submit all items before the first result is awaited; return the results in order."""
        results: list[Any] = []
        with self:
            for position, item in enumerate(items):
                self._add(position, item)
            try:
                results.extend(map(_result, self.pending))  # no reference to the future that raises
            except Exception as error:
                self.execution._translate(len(results), error)
                raise
            self.pending.clear()
        return results

    def _add(self, position: int, item: Any) -> Future[Any]:
        try:
            future = self.execution._submit(self.function, item)
        except Exception as error:
            self.execution._translate(position, error)
            raise
        self.pending[future] = position
        return future


def _result(future: Future[Any]) -> Any:
    try:
        while True:
            try:
                return future.result(MAX_WAIT)
            except TimeoutError:
                if future.done():  # it is the item's own, or the item ended just now
                    return future.result()
    finally:
        del future  # it would form a cycle with the traceback of its exception


def run_now(function: Function, item: Any) -> Future[Any]:
    """Apply the function in this thread; return a future that is done."""
    try:
        value = function(item)
    except Exception as error:  # noqa: BLE001 - raised when the result is asked for
        return _done(error=error)
    return _done(value)


def _done(value: Any = None, error: Exception | None = None) -> Future[Any]:
    future: Future[Any] = Future()
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)
    return future
