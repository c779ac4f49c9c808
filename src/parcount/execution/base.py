"""What every execution is: something that maps a function over items with some workers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
from threading import RLock
from types import TracebackType
from typing import Any, ClassVar, Self, TypeVar

from parcount.execution.stream import TaskStream, stream_results
from parcount.system.cores import available_cores

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
        How many.
    parts_per_worker : int
        Into how many parts for each worker it pays to cut a large job, so that uneven ones balance.
    supports_numpy : bool
        Whether its workers have NumPy, and so whatever needs it.
    shares_memory : bool
        Whether the caller sees what workers write into an array of `shared_array`.
    """

    name: ClassVar[str]
    parts_per_worker: ClassVar[int] = 1
    supports_numpy: ClassVar[bool] = True
    shares_memory: bool = True

    def __init__(self, workers: int | None = None) -> None:
        self.workers = available_cores() if workers is None else integer("workers", workers)
        self._entered = 0
        self._session: object = None
        self._entrance = RLock()
        self._exclusive = RLock()  # of a call that wants all the workers

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.workers})"

    def __enter__(self) -> Self:
        with self._entrance:
            if self._entered == 0:
                self._open()
                self._session = object()
            self._entered += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._entrance:
            if self._entered == 0:
                raise RuntimeError(f"{self!r} has been closed already")
            self._entered -= 1
            if self._entered == 0:
                self._session = None
                self._close()

    def map(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        *,
        idempotent: bool = True,
        progress: Callable[[int, int], object] | None = None,
    ) -> list[Result]:
        """Apply `function` to every item.

        Parameters
        ----------
        function : callable
            Of one item.
        items : iterable
            Any number of them, also more than there are workers.
        idempotent : bool, optional
            Whether an item may be run again after a worker died while running it, as often as `Processes` is told to
            retry. With False, which suits a function that leaves something behind, such as counts in shared memory,
            the death of a worker that has begun its item raises `WorkerDied`.
        progress : callable, optional
            Called here with how many items are done, and how many there are, whenever another one is. If it
            raises, that ends the call.

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
        function = self._prepare(function, items)
        with self:
            if progress is None:
                return self._map(function, items, idempotent)
            done: dict[int, Any] = {}
            with closing(stream_results(self._open_stream(function, idempotent), items)) as results:
                for position, result in results:
                    done[position] = result
                    progress(len(done), len(items))
            return [done[position] for position in range(len(items))]

    def imap(
        self, function: Callable[[Item], Result], items: Iterable[Item], *, idempotent: bool = True
    ) -> Generator[Result, None, None]:
        """Apply `function` to every item, and give each result as soon as it and all before it are there.

        Items are taken while a result is waited for, at most twice as many ahead of the results as can
        run at once: they may come from a generator that never ends. Whoever closes the generator early, or forgets it,
        drops what is under way: worker processes that have an item are ended, threads finish theirs.

        Parameters
        ----------
        function, items, idempotent
            As for `map`.

        Yields
        ------
        object
            The results, in the order of the items.

        Raises
        ------
        Exception
            In the place of the first result that there is none of: what `function` raised, or `items` did.
        RuntimeError
            If the ``with`` in which the generator began has ended.

        Examples
        --------
        >>> import parcount as pc
        >>> from itertools import count
        >>> with pc.Threads(2) as threads:
        ...     squares = threads.imap(lambda x: x * x, count())
        ...     next(squares), next(squares), next(squares)
        (0, 1, 4)
        """
        return self._stream(function, iter(items), idempotent, ordered=True)

    def imap_unordered(
        self, function: Callable[[Item], Result], items: Iterable[Item], *, idempotent: bool = True
    ) -> Generator[Result, None, None]:
        """`imap` that gives each result as soon as it is there.

        An exception comes after the results of all items that had been begun when it was raised.

        Examples
        --------
        >>> import parcount as pc
        >>> sorted(pc.Threads(2).imap_unordered(abs, [-3, -1, -2]))
        [1, 2, 3]
        """
        return self._stream(function, iter(items), idempotent, ordered=False)

    def together(
        self, function: Callable[[Item], Result], items: Sequence[Item], *, idempotent: bool = True
    ) -> tuple[list[Result], float]:
        """Apply `function` to at most `concurrency` items, all starting at the same instant.

        Every worker has its item and waits at a barrier before the first begins: what passes from that instant
        is work, not the handing out of it.

        Parameters
        ----------
        function : callable
            Of one item.
        items : sequence
            At most as many as can run at once.
        idempotent : bool, optional
            Whether an item may be run again after a worker died while running it, as often as `Processes` is told to
            retry. With False, which suits a function that leaves something behind, such as counts in shared memory,
            the death of a worker that has begun its item raises `WorkerDied`.

        Returns
        -------
        results : list
            In the order of the items.
        opened : float
            When the barrier opened, on the clock of `time.perf_counter`.

        Raises
        ------
        ValueError
            If there are more items than that.
        Exception
            What `function` raised first, in the order of the items, with the worker's traceback.
        """
        if len(items) > self.concurrency:
            raise ValueError(f"{len(items)} items cannot start together on {self.concurrency} workers")
        function = self._prepare(function, items)
        with self, self._exclusive:  # of two calls at once, each might get some of the workers, and wait for the others
            return self._together(function, items, idempotent)

    @property
    def concurrency(self) -> int:
        """How many items can run at once."""
        return self.workers

    def pids(self) -> list[int]:
        """The processes, besides the caller's, that work for this execution now."""
        return []

    def _open(self) -> None:
        """Start the workers."""

    def _close(self) -> None:
        """End the workers; called whatever happened."""

    @property
    def _max_ahead(self) -> int:
        """How many items are taken ahead of the results that have been asked for."""
        return 2 * self.concurrency

    def _prepare(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Callable[[Any], Any]:  # noqa: ARG002
        """The function as it goes to the workers. What cannot go there is raised before they start."""
        return function

    def _stream(
        self, function: Callable[[Any], Any], items: Iterator[Any], idempotent: bool, ordered: bool
    ) -> Generator[Any, None, None]:
        function = self._prepare(function, ())
        # Inside a `with` it is that which ends the workers, also if the generator is never finished.
        with nullcontext() if self._entered else self:
            session = self._session
            with closing(
                stream_results(
                    self._open_stream(function, idempotent), items, ordered=ordered, max_ahead=self._max_ahead
                )
            ) as results:
                for _, result in results:
                    yield result
                    if self._session is not session:
                        raise RuntimeError("the `with` in which this generator began has ended, and its workers too")

    @abstractmethod
    def _open_stream(self, function: Callable[[Any], Any], idempotent: bool) -> TaskStream:
        """A call of `function`, for the workers that have been started."""

    @abstractmethod
    def _map(self, function: Callable[[Any], Any], items: Sequence[Any], idempotent: bool) -> list[Any]:
        """`map` with the workers started."""

    @abstractmethod
    def _together(
        self, function: Callable[[Any], Any], items: Sequence[Any], idempotent: bool
    ) -> tuple[list[Any], float]:
        """`together` with the workers started."""


def integer(what: str, value: int, least: int = 1) -> int:
    """`value`, if it is an integer of at least `least`; otherwise TypeError or ValueError, which say `what` it is."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{what} must be an integer, not {value!r}")
    if value.__index__() < least:
        raise ValueError(f"{what} must be at least {least}, not {value.__index__()}")
    return value.__index__()


def check_initializer(initializer: Callable[..., object] | None) -> None:
    """TypeError if it cannot be called."""
    if initializer is not None and not callable(initializer):
        raise TypeError(f"initializer must be callable, not {initializer!r}")
