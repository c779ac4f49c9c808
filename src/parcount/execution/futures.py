"""Calls whose items go to an executor, as `concurrent.futures` means it, and come back as its futures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, wait
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self

from parcount.execution.stream import Outcome, TaskStream

Submit = Callable[[Callable[[Any], Any], Any], "Future[Any]"]
"""Hands a function and its item to the executor."""

Translate = Callable[[int, BaseException], None]
"""Raises what the caller is to be told of the item at a position, if that is not what the executor said."""


def unchanged(_: int, error: BaseException) -> None:
    """The executor's own words will do."""


def run(
    submit: Submit,
    function: Callable[[Any], Any],
    items: Sequence[Any],
    *,
    translate: Translate = unchanged,
    on_failure: Callable[[], None] = lambda: None,
) -> list[Any]:
    """The results of all items, in their order.

    Parameters
    ----------
    submit : callable
        Hands each item over.
    function : callable
        Of one item.
    items : sequence
        All are handed over before the first result is waited for.
    translate : callable, optional
        Raises what the caller is told instead.
    on_failure : callable, optional
        Lets those go that wait for others, when some will not come.
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
        while futures:  # from the last on: those not begun are dropped before those begun are waited for
            _end(futures.pop())
        translate(position, error)
        raise


class FuturesStream(TaskStream):
    """One call's items in the queue of the executor, and its futures as they are done."""

    def __init__(self, submit: Submit, function: Callable[[Any], Any], translate: Translate = unchanged) -> None:
        self.executor_submit = submit
        self.function = function
        self.translate = translate
        self.under_way: dict[Future[Any], int] = {}
        self.over: SimpleQueue[Future[Any]] = SimpleQueue()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self.under_way:  # from the last on: as after a failed `run`
            _end(self.under_way.popitem()[0])

    @property
    def has_capacity(self) -> bool:
        """Always: the executor has a queue."""
        return True

    @property
    def busy(self) -> bool:
        """Whether any item is not done."""
        return bool(self.under_way)

    def submit(self, position: int, item: Any) -> None:
        """Put an item into the queue."""
        try:
            future = self.executor_submit(self.function, item)
        except Exception as error:
            self.translate(position, error)
            raise
        self.under_way[future] = position
        future.add_done_callback(self.over.put)

    def poll(self) -> list[Outcome]:
        """The outcome of the item that is done next."""
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
