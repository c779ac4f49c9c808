"""What every execution is: something that maps a function over items with some workers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from threading import RLock
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar

from parcount.execution.cores import available_cores

Item = TypeVar("Item")
Result = TypeVar("Result")


class Execution(ABC):
    """Who runs a function over items.

    A context manager: inside a ``with`` its workers stay; a call outside one starts and ends them for itself. Several
    threads may call one.

    Parameters
    ----------
    workers : int, optional
        How many; all available cores by default. More than there are cores is allowed.

    Raises
    ------
    TypeError
        If `workers` is no integer.
    ValueError
        If `workers` is less than one.

    Attributes
    ----------
    name : str
        As the study and the result file spell it.
    workers : int
        How many items can run at once.
    """

    name: ClassVar[str]

    def __init__(self, workers: int | None = None) -> None:
        self.workers = available_cores() if workers is None else integer("workers", workers)
        self._held = 0
        self._entrance = RLock()
        self._turn = RLock()  # of a call that wants all the workers

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.workers})"

    def __enter__(self) -> Self:
        with self._entrance:
            if self._held == 0:
                self._open()
            self._held += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._entrance:
            self._held -= 1
            if self._held == 0:
                self._close()

    def map(self, function: Callable[[Item], Result], items: Iterable[Item], *, once: bool = False) -> list[Result]:
        """Apply `function` to every item.

        Parameters
        ----------
        function : callable
            Of one item.
        items : iterable
            Any number of them, also more than there are workers.
        once : bool, optional
            Whether no item may be begun twice: say so where a half-done one leaves something behind, such as counts in
            shared memory. If the worker that has begun it dies, that is `WorkerDied` at once. By default
            another worker gets the item, as often as `Processes` is told to retry.

        Returns
        -------
        list
            The results, in the order of the items.

        Raises
        ------
        Exception
            What `function` raised first, in the order of the items, with the worker's traceback.

        Examples
        --------
        >>> import parcount as pc
        >>> pc.Threads(2).map(abs, [-1, -2, 3])
        [1, 2, 3]
        """
        items = list(items)
        with self:
            return self._map(function, items, once)

    def together(
        self, function: Callable[[Item], Result], items: Sequence[Item], *, once: bool = False
    ) -> tuple[list[Result], float]:
        """Apply `function` to at most one item a worker, all starting at the same instant.

        Every worker has its item and waits at a barrier before the first begins: what passes from that instant
        is work, not the handing out of it.

        Parameters
        ----------
        function : callable
            Of one item.
        items : sequence
            At most as many as there are workers.
        once : bool, optional
            Whether no item may be begun twice: say so where a half-done one leaves something behind, such as counts in
            shared memory. If the worker that has begun it dies, that is `WorkerDied` at once. By default
            another worker gets the item, as often as `Processes` is told to retry.

        Returns
        -------
        results : list
            In the order of the items.
        opened : float
            When the barrier opened, on the clock of `time.perf_counter`.

        Raises
        ------
        ValueError
            If there are more items than workers.
        Exception
            What `function` raised first, in the order of the items, with the worker's traceback.
        """
        if len(items) > self.workers:
            raise ValueError(f"{len(items)} items cannot start together on {self.workers} workers")
        with self, self._turn:  # of two calls at once, each might get some of the workers, and wait for the others
            return self._together(function, items, once)

    def pids(self) -> list[int]:
        """The processes, besides the caller's, that work for this execution now."""
        return []

    def _open(self) -> None:
        """Start the workers."""

    def _close(self) -> None:
        """End the workers; called whatever happened."""

    @abstractmethod
    def _map(self, function: Callable[[Any], Any], items: Sequence[Any], once: bool) -> list[Any]:
        """`map` with the workers started."""

    @abstractmethod
    def _together(self, function: Callable[[Any], Any], items: Sequence[Any], once: bool) -> tuple[list[Any], float]:
        """`together` with the workers started."""


def integer(what: str, value: int, least: int = 1) -> int:
    """`value`, if it is an integer of at least `least`; otherwise TypeError or ValueError, which say `what` it is."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{what} must be an integer, not {value!r}")
    if value.__index__() < least:
        raise ValueError(f"{what} must be at least {least}, not {value.__index__()}")
    return value.__index__()
