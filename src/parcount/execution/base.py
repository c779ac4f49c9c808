"""The base class of executions, which run functions on a number of workers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
from functools import partial
from os import getpid
from threading import RLock
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, ParamSpec, Self, TypeVar

from parcount.execution.arguments import check_callable, integer
from parcount.execution.chunks import apply_star
from parcount.execution.stream import Function, TaskStream, stream_results
from parcount.system.cores import available_cores

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

Item = TypeVar("Item")
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

Close = Callable[[], object]
"""Ends workers."""


class Submitted(NamedTuple):
    """A call that has been submitted."""

    future: Future[Any]
    end: Callable[[], object]  # ends the call if it can be ended: it is of no use any more


def check_owner(pid: int) -> None:
    """Raise RuntimeError in a fork of the process that has started workers."""
    if pid != getpid():
        raise RuntimeError(f"these workers were started by process {pid}, and this process is a fork of it")


class Execution(ABC):
    """Runs a function over items, or single calls, on a number of workers.

    An execution is a context manager. Its workers live as long as the ``with`` block. Outside a ``with`` block, each
    call starts and ends its own workers, and `submit` raises an exception. Several threads may use one execution.

    Parameters
    ----------
    workers : int, optional
        The number of workers; all available cores by default. It may exceed the number of cores.

    Raises
    ------
    TypeError
        If `workers` is not an integer.
    ValueError
        If `workers` is less than one.

    Attributes
    ----------
    name : str
        The name in studies and result files.
    workers : int
        The number of workers.
    parts_per_worker : int
        The number of parts per worker into which a large job is split, so that uneven parts balance.
    supports_numpy : bool
        Whether its workers can import NumPy.
    shares_memory : bool
        Whether the caller sees what workers write into an array made by `shared_array`.
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
        # Without the lock, because the calls that are waited for, and their callbacks, may use this execution.
        try:
            while error is None and (futures := self._awaited_at_exit()):
                _wait(futures)
        finally:
            if (close := self._leave()) is not None:
                close()

    def _leave(self) -> Close | None:
        with self._entrance:
            if self._entered == 0:
                raise RuntimeError(f"{self!r} has been closed already")
            self._entered -= 1
            if self._entered:
                return None
            self._session = None
            return self._detach()

    def map(
        self,
        function: Callable[..., Result],
        *iterables: Iterable[Any],
        idempotent: bool = True,
        progress: Callable[[int, int], object] | None = None,
        chunksize: int | None = None,
    ) -> list[Result]:
        """Apply `function` to every item.

        Parameters
        ----------
        function : callable
            Of one item, or of as many arguments as there are iterables.
        *iterables : iterable
            The items. Of several iterables, as by `map` of Python, the shortest one ends.
        idempotent : bool, optional
            Whether an item may be run again, up to the `retries` of `Processes`, if a worker died while running it.
            With False, the death of a worker that has begun its item raises `WorkerDied`: for functions with side
            effects, such as counts in shared memory.
        progress : callable, optional
            Called in this thread as ``progress(done, total)`` after each item. An exception in it ends the call.
        chunksize : int, optional
            The number of items that travel to a worker process together. By default it is measured during the call:
            tiny items travel together, large ones and long ones alone. Items travel alone in any case if they may not
            be run again (``idempotent=False``, or no `retries`), or if workers are replaced after a number of items.
            Executions whose workers share memory send each item by itself.

        Returns
        -------
        list
            The results, in the order of the items.

        Raises
        ------
        Exception
            The exception of the first item, in the order of the items, whose call of `function` failed. Its cause
            holds the worker's traceback.

        Examples
        --------
        >>> import parcount as pc
        >>> pc.Threads(2).map(abs, [-1, -2, 3])
        [1, 2, 3]
        >>> pc.Threads(2).map(pow, [2, 3], [10, 2])
        [1024, 9]
        """
        check_callable(function)
        if len(iterables) != 1:
            if not iterables:
                raise TypeError("map needs at least one iterable")
            return self.starmap(
                function, zip(*iterables, strict=False), idempotent=idempotent, progress=progress, chunksize=chunksize
            )
        if chunksize is not None:
            chunksize = integer("chunksize", chunksize)
        items = list(iterables[0])
        function = self._prepare(function, items)
        with self:
            return self._map(function, items, idempotent, progress, chunksize)

    def starmap(
        self,
        function: Callable[..., Result],
        items: Iterable[Iterable[Any]],
        *,
        idempotent: bool = True,
        progress: Callable[[int, int], object] | None = None,
        chunksize: int | None = None,
    ) -> list[Result]:
        """Apply `function` to every item, a sequence of arguments.

        Parameters
        ----------
        function : callable
            Of the arguments in one item.
        items : iterable of iterable
            The arguments of each call.
        idempotent, progress, chunksize
            As for `map`, which also has the same result and raises the same exceptions.

        Examples
        --------
        >>> import parcount as pc
        >>> pc.Threads(2).starmap(divmod, [(7, 2), (9, 4)])
        [(3, 1), (2, 1)]
        """
        check_callable(function)
        arguments = [tuple(item) for item in items]
        spread = partial(apply_star, self._prepare(function, ()))
        return self.map(spread, arguments, idempotent=idempotent, progress=progress, chunksize=chunksize)

    def imap(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        *,
        idempotent: bool = True,
        chunksize: int = 1,
    ) -> Generator[Result, None, None]:
        """Apply `function` to every item and yield the results in order, each as soon as it is available.

        Items are taken from the iterable while a result is awaited, at most ``2 * concurrency`` ahead of the results,
        so the iterable may be infinite. Closing the generator early drops the items in progress: worker processes that
        have an item are killed, threads finish theirs.

        Parameters
        ----------
        function, items, idempotent
            As for `map`.
        chunksize : int, optional
            As for `map`, but not measured: more items that travel together are fewer messages, and results that come
            later. An exception comes in place of the results of its chunk.

        Yields
        ------
        object
            The results, in the order of the items.

        Raises
        ------
        Exception
            In place of the first missing result: the exception of `function` or of the iterable.
        RuntimeError
            If the ``with`` block in which the generator was created has ended.

        Examples
        --------
        >>> import parcount as pc
        >>> from itertools import count
        >>> with pc.Threads(2) as threads:
        ...     squares = threads.imap(lambda x: x * x, count())
        ...     next(squares), next(squares), next(squares)
        (0, 1, 4)
        """
        check_callable(function)
        return self._stream(function, iter(items), idempotent, integer("chunksize", chunksize), ordered=True)

    def imap_unordered(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        *,
        idempotent: bool = True,
        chunksize: int = 1,
    ) -> Generator[Result, None, None]:
        """`imap` that yields each result as soon as it is available, in any order.

        An exception is raised after the results of all items that had been started before it.

        Examples
        --------
        >>> import parcount as pc
        >>> sorted(pc.Threads(2).imap_unordered(abs, [-3, -1, -2]))
        [1, 2, 3]
        """
        check_callable(function)
        return self._stream(function, iter(items), idempotent, integer("chunksize", chunksize), ordered=False)

    def together(
        self, function: Callable[[Item], Result], items: Sequence[Item], *, idempotent: bool = True
    ) -> tuple[list[Result], float]:
        """Apply `function` to at most `concurrency` items that all start at the same time.

        Every worker receives its item and waits at a barrier, so the time after the barrier is spent in `function` and
        not in distributing items.

        Parameters
        ----------
        function, idempotent
            As for `map`.
        items : sequence
            At most `concurrency` items.

        Returns
        -------
        results : list
            In the order of the items.
        opened : float
            The time of `time.perf_counter` at which the barrier opened.

        Raises
        ------
        ValueError
            If there are more than `concurrency` items.
        Exception
            As for `map`.
        """
        check_callable(function)
        if len(items) > self.concurrency:
            raise ValueError(f"{len(items)} items cannot start together on {self.concurrency} workers")
        function = self._prepare(function, items)
        with self, self._exclusive:  # two concurrent calls could each hold some workers and wait for the rest
            return self._together(function, items, idempotent)

    def submit(
        self, function: Callable[Parameters, Result], /, *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Future[Result]:
        """Call ``function(*args, **kwargs)`` on a worker.

        The future works with all functions of `concurrent.futures` and with `asyncio.wrap_future`. The end of the
        ``with`` block waits for the call. An exception that ends the block ends the call too: it is not started, or
        its worker process is killed, or a compiled loop in its thread returns; its future raises `CancelledError`.
        Python code in a thread runs to its end. The block of `Adopted` neither waits for calls nor ends them.

        Parameters
        ----------
        function : callable
            The function.
        *args, **kwargs
            Its arguments.

        Returns
        -------
        concurrent.futures.Future
            Its exception is that of the function; the cause is the worker's traceback if the worker is a process or an
            interpreter. It is `WorkerDied` if the worker process died and no `retries` are left. `cancel` keeps a call
            from being started, but does not end one that runs.

        Raises
        ------
        TypeError
            If the function is not callable. For `Processes` and `Interpreters`: if the function cannot be pickled, or
            an argument; of `Interpreters`, the future raises the latter.
        RuntimeError
            If this is not inside a ``with`` block of the execution: see `as_executor`. Or if this process is a fork of
            the one that started the workers. For `Processes`: if this thread has a generator of `imap` that has not
            ended.

        Notes
        -----
        It does not wait for a worker: a call for which none is free is queued. `Serial` runs the call at once, in this
        thread. Several threads, and callbacks of futures, may submit calls. Threads run Python code one at a time under
        the GIL, as for `map`. While a call of `map`, `imap` or `together` uses the workers of `Processes`, submitted
        calls wait; such a call waits until those that run have ended.

        Examples
        --------
        >>> import parcount as pc
        >>> with pc.Threads(2) as threads:
        ...     future = threads.submit(pow, 2, 10)
        ...     future.result()
        1024
        """
        check_callable(function)
        future: Future[Result] = self._submit_call(function, args, kwargs).future
        return future

    def as_executor(self) -> Executor:
        """Return a `concurrent.futures.Executor` with the workers of this execution.

        It is meant for libraries that take an executor, such as `asyncio.loop.run_in_executor` and dask. It starts the
        workers at its first call and ends them at `shutdown`, unless the execution is also open in a ``with`` block.

        Returns
        -------
        concurrent.futures.Executor
            Its calls raise what those of `submit` raise, and `RuntimeError` after `shutdown`.

        Notes
        -----
        Unlike `ProcessPoolExecutor`, it does not break if a worker is killed: the call is run again as often as the
        `retries` of `Processes` allow, and then its future alone raises `WorkerDied`. The exception of an initializer
        is raised itself, by `submit` or by the futures.

        Examples
        --------
        >>> import parcount as pc
        >>> with pc.Threads(2).as_executor() as executor:
        ...     list(executor.map(abs, [-1, -2, 3]))
        [1, 2, 3]
        """
        from parcount.execution.executor import ExecutionExecutor

        return ExecutionExecutor(self)

    def amap(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item] | AsyncIterable[Item],
    ) -> AsyncGenerator[Result, None]:
        """`imap` for asyncio: an asynchronous generator, which does not block the event loop.

        Parameters
        ----------
        function : callable
            Of one item.
        items : iterable or asynchronous iterable
            The items. At most ``2 * concurrency`` of them are taken ahead of the results.

        Yields
        ------
        object
            The results, in the order of the items.

        Raises
        ------
        TypeError
            If the function is not callable.
        Exception
            In place of the first missing result: the exception of `function` or of the iterable, or that of an item
            that cannot be sent.

        Notes
        -----
        If the task is cancelled, or the generator closed, items in progress end as the call of `run` does: the
        processes that have one are killed and replaced, and compiled loops in threads return. Python code in threads
        runs to its end. `Serial` blocks the event loop while it runs an item.

        Outside the ``with`` block of the execution, the generator starts and ends workers of its own in another thread.

        Examples
        --------
        >>> import asyncio
        >>> import parcount as pc
        >>> async def main():
        ...     with pc.Threads(2) as threads:
        ...         return [length async for length in threads.amap(len, ["a", "bc"])]
        >>> asyncio.run(main())
        [1, 2]
        """
        from parcount.execution import coroutines

        check_callable(function)
        return coroutines.amap(self, function, items)

    @property
    def concurrency(self) -> int:
        """The number of items that can run at the same time."""
        return self.workers

    def pids(self) -> list[int]:
        """The ids of the worker processes; empty if the workers are threads of this process."""
        return []

    def _open(self) -> None:
        """Start the workers."""

    def _awaited_at_exit(self) -> list[Future[Any]]:
        with self._entrance:
            return self._unfinished() if self._entered == 1 else []

    def _unfinished(self) -> list[Future[Any]]:
        """Return the futures of submitted calls for which the end of the block is to wait."""
        return []

    def _detach(self) -> Close:
        """Part from the workers; returns the function that ends them and submitted calls that have not ended."""
        return _do_nothing

    @property
    def _max_ahead(self) -> int:
        """The number of items that are taken ahead of the results that have been yielded."""
        return 2 * self.concurrency

    def _prepare(self, function: Function, items: Iterable[Any]) -> Function:
        """Return the function in the form sent to workers; raises before they start if it cannot be sent."""
        return function

    def _stream(
        self, function: Function, items: Iterator[Any], idempotent: bool, chunksize: int, ordered: bool
    ) -> Generator[Any, None, None]:
        function = self._prepare(function, ())
        # Inside a `with` block the block ends the workers, even if the generator is never finished.
        with nullcontext() if self._entered else self:
            session = self._session
            with closing(self._results(function, items, idempotent, chunksize, ordered)) as results:
                for result in results:
                    yield result
                    if self._session is not session:
                        raise RuntimeError("the `with` block in which this generator was created has ended")

    def _results(
        self,
        function: Function,
        items: Iterator[Any],
        idempotent: bool,
        chunksize: int,
        ordered: bool,
    ) -> Generator[Any, None, None]:
        """Yield the results of a stream; the workers have been started."""
        stream = self._open_stream(function, idempotent)
        with closing(stream_results(stream, items, ordered=ordered, max_ahead=self._max_ahead)) as results:
            for _, result in results:
                yield result

    def _check_open(self) -> None:
        if not self._entered:
            raise RuntimeError(
                f"{self!r} has no workers: submit calls inside its `with` block, or to its as_executor()"
            )

    @abstractmethod
    def _submit_call(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Submitted:
        """Implement `submit`."""

    @abstractmethod
    def _open_stream(self, function: Function, idempotent: bool) -> TaskStream:
        """Create the stream of one call; the workers have been started."""

    def _map(
        self,
        function: Function,
        items: Sequence[Any],
        idempotent: bool,
        progress: Callable[[int, int], object] | None,
        chunksize: int | None,
    ) -> list[Any]:
        """Implement `map`; the workers have been started."""
        done: dict[int, Any] = {}
        stream = self._open_stream(function, idempotent)
        with closing(stream_results(stream, items, max_ahead=self._max_ahead)) as results:
            for position, result in results:
                done[position] = result
                if progress is not None:
                    progress(len(done), len(items))
        return [done[position] for position in range(len(items))]

    @abstractmethod
    def _together(self, function: Function, items: Sequence[Any], idempotent: bool) -> tuple[list[Any], float]:
        """Implement `together`; the workers have been started."""


def _do_nothing() -> None: ...


def _wait(futures: list[Future[Any]]) -> None:
    from concurrent.futures import wait

    wait(futures)
