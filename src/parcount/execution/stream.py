"""How a call's parts flow: taken from their iterable, given to workers, and handed to the caller as they are done."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self


@dataclass
class Outcome:
    """What became of one part.

    Parameters
    ----------
    position : int
        Of its item, among the items.
    value : object
        The function's result.
    error : BaseException, optional
        What it raised instead.
    """

    position: int
    value: Any = None
    error: BaseException | None = None


class TaskStream(ABC):
    """One call's parts on their way to the workers and back, which each execution does in its own way.

    A context manager: whatever ends it, none of its parts is running afterwards.
    """

    @abstractmethod
    def __enter__(self) -> Self: ...

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    @property
    @abstractmethod
    def has_capacity(self) -> bool:
        """Whether another part can be given now."""

    @property
    @abstractmethod
    def busy(self) -> bool:
        """Whether parts are under way."""

    @abstractmethod
    def submit(self, position: int, item: Any) -> None:
        """Send a part to a worker; there must be room."""

    @abstractmethod
    def poll(self) -> Iterable[Outcome]:
        """Wait until something happens. That may be that there is room, and no outcome yet."""


def stream_results(
    stream: TaskStream, items: Iterable[Any], *, ordered: bool = False, max_ahead: int | None = None
) -> Generator[tuple[int, Any], None, None]:
    """Run a call.

    Items are taken when a worker is free for them, and only while a result is asked for. When a part fails, or
    the iterable does, no more are taken; those begun are finished, their results handed over, and then the failure
    raised that comes first in the order of the items.

    Parameters
    ----------
    stream : TaskStream
        Not yet entered.
    items : iterable
        May have no end.
    ordered : bool
        Whether results come in the order of the items; otherwise as they are done.
    max_ahead : int, optional
        The most items that are taken beyond the results handed over; any number by default.

    Yields
    ------
    position : int
        Of the item.
    value : object
        Its result.
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
                except Exception as error:  # noqa: BLE001 - the iterable's own, or an item that cannot be sent
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
        raise errors.pop(min(errors))  # kept, it would keep itself alive, and this call's arrays


def _sort(outcomes: Iterable[Outcome], done: dict[int, Any], errors: dict[int, BaseException]) -> None:
    for outcome in outcomes:
        if outcome.error is None:
            done[outcome.position] = outcome.value
        else:
            errors[outcome.position] = outcome.error
