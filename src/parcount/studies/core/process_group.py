"""Processes that inherit a queue, a lock or a counter of `multiprocessing`, which cannot be sent to running ones."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from multiprocessing.connection import Connection, wait
from time import perf_counter
from typing import Any, Self

TIME_LIMIT = 120.0
"""Seconds within which all processes must have ended a task, or have ended."""

Prepare = Callable[[Any, Any], AbstractContextManager[Callable[[], object]]]
"""Given the inherited object and an item, returns a context manager whose value is the task."""

Span = tuple[float, float]
"""The values of `perf_counter` at the start and at the end of a task; the clock is the same in all processes."""


class ProcessGroup:
    """Processes that inherit one object when they are started, and begin each task together.

    `multiprocessing.Process` is used because `parcount.Processes` sends what its workers get to processes that run.

    Parameters
    ----------
    size : int
        The number of processes.
    context : multiprocessing.context.BaseContext
        What starts them: it must not fork, or they would inherit each other's pipes.
    make : callable
        Makes the object, given the context.

    Attributes
    ----------
    limit : float
        Seconds within which all processes must have ended a task.
    """

    limit = TIME_LIMIT

    def __init__(self, size: int, context: Any, make: Callable[[Any], Any]) -> None:
        self._size = size
        self._context = context
        self._make = make
        self._inherited: Any = None
        self._barrier: Any = None
        self._workers: dict[Connection, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._workers:
            connection.close()  # which ends the process
        for process in self._workers.values():
            process.join(TIME_LIMIT)
        self._end()

    @property
    def inherited(self) -> Any:
        """The object that they inherit; it is another after a task that failed."""
        if not self._workers:
            self._start()
        return self._inherited

    def pids(self) -> list[int]:
        """Return the ids of the processes."""
        return [process.pid for process in self._workers.values()]

    def run(self, prepare: Prepare, items: Sequence[Any]) -> list[Span]:
        """Have each process prepare a task, wait for the others, and run it.

        Parameters
        ----------
        prepare : callable
            Called in each process; it must be picklable.
        items : sequence
            One for each process.

        Returns
        -------
        list of (float, float)
            When each task began and ended.

        Raises
        ------
        Exception
            That of a task. The processes are then replaced, and what they inherit is made anew.
        TimeoutError
            If the tasks have not ended within `limit`.
        """
        if not self._workers:
            self._start()
        try:
            for connection, item in zip(self._workers, items, strict=True):
                connection.send((prepare, item))
            answers = self._receive(perf_counter() + self.limit)
        except BaseException:
            self._end()
            raise
        return [answers[connection] for connection in self._workers]

    def _receive(self, until: float) -> dict[Connection, Span]:
        """Return the answer of each process; raise the first exception that one sends."""
        answers: dict[Connection, Span] = {}
        while left := self._workers.keys() - answers.keys():
            ready = wait(left, max(0.0, until - perf_counter()))
            if not ready:
                raise TimeoutError(f"processes did not end within {self.limit:g} seconds")
            for connection in ready:
                assert isinstance(connection, Connection)
                try:
                    answer = connection.recv()
                except (EOFError, ConnectionError):
                    process = self._workers[connection]
                    process.join(TIME_LIMIT)
                    raise RuntimeError(f"a process ended with exit code {process.exitcode}") from None
                if isinstance(answer, BaseException):
                    raise answer
                answers[connection] = answer
        return answers

    def _start(self) -> None:
        self._inherited = self._make(self._context)
        self._barrier = self._context.Barrier(self._size)  # kept until the processes have it
        for _ in range(self._size):
            ours, its = self._context.Pipe()
            process = self._context.Process(target=_serve, args=(its, self._barrier, self._inherited), daemon=True)
            try:
                process.start()
            except BaseException:
                ours.close()
                raise
            finally:
                its.close()
            self._workers[ours] = process

    def _end(self) -> None:
        """Kill the processes, and close what they inherited."""
        for connection, process in self._workers.items():
            connection.close()
            process.kill()
        for process in self._workers.values():
            process.join(TIME_LIMIT)
            process.close()
        self._workers.clear()
        if hasattr(self._inherited, "close"):
            self._inherited.close()
        self._inherited = None


def _serve(connection: Connection, barrier: Any, inherited: Any) -> None:
    """Run tasks until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the study, and the study ends its processes
    while True:
        try:
            prepare, item = connection.recv()
        except EOFError:
            return
        answer: Span | Exception
        try:
            with prepare(inherited, item) as task:
                barrier.wait(TIME_LIMIT)
                began = perf_counter()
                task()
                answer = began, perf_counter()
        except Exception as error:  # noqa: BLE001 - whatever a task raises
            answer = error
        try:
            connection.send(answer)
        except Exception:  # noqa: BLE001 - not all exceptions can be pickled
            connection.send(RuntimeError(f"{type(answer).__name__}: {answer}"))
