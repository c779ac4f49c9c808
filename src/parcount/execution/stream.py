"""The stream of one call: items are taken from an iterable, submitted to workers, and yielded as results."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

Function = Callable[[Any], Any]
"""A function of one item."""


@dataclass
class Outcome:
    """The result or the exception of the item at a position."""

    position: int
    value: Any = None
    error: BaseException | None = None


class TaskStream(ABC):
    """The items of one call: a context manager after whose exit none of them is running."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(error)

    @abstractmethod
    def close(self, error: BaseException | None) -> None:
        """End the call; `error` is the exception that ends it early."""

    @property
    def has_capacity(self) -> bool:
        """Whether another item can be submitted now."""
        return True

    @property
    @abstractmethod
    def busy(self) -> bool:
        """Whether submitted items have no outcome yet."""

    @abstractmethod
    def submit(self, position: int, item: Any) -> None:
        """Send an item to a worker; requires `has_capacity`."""

    @abstractmethod
    def poll(self) -> Iterable[Outcome]:
        """Wait for an event and return the new outcomes, of which there may be none."""


def stream_results(
    stream: TaskStream, items: Iterable[Any], *, ordered: bool = False, max_ahead: int | None = None
) -> Generator[tuple[int, Any], None, None]:
    """Run the items of a call.

    An item is taken when a worker is free for it, and only while a result is awaited. After the failure of an item or
    of the iterable no more items are taken; those that have been submitted are finished, their results are yielded, and
    then the failure that is first in the order of the items is raised.

    Parameters
    ----------
    stream : TaskStream
        Not yet entered.
    items : iterable
        It may be infinite.
    ordered : bool
        Whether results are yielded in the order of the items, or as they become available.
    max_ahead : int, optional
        The most items that are taken beyond the results yielded; unlimited by default.

    Yields
    ------
    position : int
        The index of the item.
    value : object
        The result.
    """
    waiting: Iterator[Any] | None = iter(items)
    done: dict[int, Any] = {}
    errors: dict[int, BaseException] = {}
    taken = delivered = 0
    with stream:
        while True:
            while (
                waiting is not None
                and not errors
                and stream.has_capacity
                and (max_ahead is None or taken - delivered < max_ahead)
            ):
                try:
                    stream.submit(taken, next(waiting))
                except StopIteration:
                    waiting = None
                except Exception as error:  # noqa: BLE001 - the iterable's, or that of an item that cannot be sent
                    errors[taken] = error
                else:
                    taken += 1
            if delivered in done if ordered else done:
                position = delivered if ordered else next(iter(done))
                delivered += 1
                yield position, done.pop(position)
            elif stream.busy or (waiting is not None and not errors):
                _sort(stream.poll(), done, errors)
            else:
                break
    if errors:
        raise errors.pop(min(errors))  # a reference here would form a cycle that keeps the call's arrays


def _sort(outcomes: Iterable[Outcome], done: dict[int, Any], errors: dict[int, BaseException]) -> None:
    for outcome in outcomes:
        if outcome.error is None:
            done[outcome.position] = outcome.value
        else:
            errors[outcome.position] = outcome.error
