"""Calls whose items are submitted to a `concurrent.futures.Executor`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, wait
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self

from parcount.execution.stream import Outcome, TaskStream

Submit = Callable[[Callable[[Any], Any], Any], "Future[Any]"]
"""Submits a function and its item to the executor."""

Translate = Callable[[int, BaseException], None]
"""Raises a clearer exception for the item at a position in place of the executor's, or returns."""


def _is_interrupt(error: BaseException | None) -> bool:
    """Whether an exception ends what is under way, rather than wait for it, as Ctrl-C does."""
    return error is not None and not isinstance(error, Exception | GeneratorExit)


def unchanged(_: int, error: BaseException) -> None:
    """Keep the executor's exception."""


def run(
    submit: Submit,
    function: Callable[[Any], Any],
    items: Sequence[Any],
    *,
    translate: Translate = unchanged,
    on_failure: Callable[[], None] = lambda: None,
    on_interrupt: Callable[[], None] = lambda: None,
) -> list[Any]:
    """Submit all items and return their results in order.

    Parameters
    ----------
    submit : callable
        Submits an item.
    function : callable
        Of one item.
    items : sequence
        All are submitted before the first result is awaited.
    translate : callable, optional
        Raises a clearer exception in place of the executor's.
    on_failure : callable, optional
        Called on failure, before the running items are awaited.
    on_interrupt : callable, optional
        Called if the caller is interrupted, to end the running items.
    """
    futures: list[Future[Any]] = []
    position = 0
    try:
        for position, item in enumerate(items):  # noqa: B007 - where it stops is told
            futures.append(submit(function, item))
        results = []
        for position in range(len(futures)):
            results.append(futures[position].result())
        return results
    except BaseException as error:
        on_failure()
        if _is_interrupt(error):
            on_interrupt()
        while futures:  # from the last on: those not begun are dropped before those begun are waited for
            _end(futures.pop())
        translate(position, error)
        raise


class FuturesStream(TaskStream):
    """The futures of one call, in the order in which they are done."""

    def __init__(
        self,
        submit: Submit,
        function: Callable[[Any], Any],
        translate: Translate = unchanged,
        on_interrupt: Callable[[], None] = lambda: None,
    ) -> None:
        self.executor_submit = submit
        self.on_interrupt = on_interrupt
        self.function = function
        self.translate = translate
        self.under_way: dict[Future[Any], int] = {}
        self.over: SimpleQueue[Future[Any]] = SimpleQueue()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if _is_interrupt(error):
            self.on_interrupt()
        while self.under_way:  # from the last on: as after a failed `run`
            _end(self.under_way.popitem()[0])

    @property
    def has_capacity(self) -> bool:
        """Always true: the executor has a queue."""
        return True

    @property
    def busy(self) -> bool:
        """Whether any item has no outcome yet."""
        return bool(self.under_way)

    def submit(self, position: int, item: Any) -> None:
        """Submit an item."""
        try:
            future = self.executor_submit(self.function, item)
        except Exception as error:
            self.translate(position, error)
            raise
        self.under_way[future] = position
        future.add_done_callback(self.over.put)

    def poll(self) -> list[Outcome]:
        """Return the outcome of the next item that is done."""
        future = self.over.get()
        position = self.under_way.pop(future)
        error = CancelledError() if future.cancelled() else future.exception()
        if error is None:
            return [Outcome(position, future.result())]
        try:
            self.translate(position, error)
        except Exception as told:  # noqa: BLE001 - raised where its result would have been
            return [Outcome(position, error=told)]  # named nowhere else here, or it would keep itself alive
        return [Outcome(position, error=error)]


def _end(future: Future[Any]) -> None:
    if not future.cancel():
        wait([future])
