"""Worker processes: each has an interpreter, and a GIL, of its own.

Written by hand where `concurrent.futures.ProcessPoolExecutor` would nearly do: that one tells neither which item a
dead worker had nor how it ended, cannot start all workers at one instant, and sends arrays through a pipe. This one
has a pipe a worker and no helper threads.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection as mpc
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from time import perf_counter
from typing import Any, Self

from parcount.execution import shared
from parcount.execution.base import Execution
from parcount.execution.errors import RemoteTraceback, WorkerDied
from parcount.execution.worker import ERROR, GO, HOLD, READY, STOP, TASK, serve

PATIENCE = 5.0
"""Seconds that a worker that was told to stop gets to end by itself before it is killed."""


@dataclass(eq=False)
class _Worker:
    process: BaseProcess
    connection: mpc.Connection
    mark: str
    item: int | None = None
    copies: Sequence[shared.Block] = ()

    def send(self, message: bytes) -> None:
        # A worker that died cannot read; that is found, with its exit code, when its answer is awaited.
        with suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send_bytes(message)

    def receive(self) -> bytes:
        try:
            return self.connection.recv_bytes()
        except (EOFError, OSError) as error:
            self.process.join()
            raise WorkerDied(self.item, self.process.exitcode) from error


class Processes(Execution):
    """`workers` processes on this machine.

    The function and the items must pickle. Large arrays among them, and in the results, cross by shared memory: an
    array made by `shared_array`, or a slice of one, without any copy; any other with one.

    Calls from several threads take turns. An exception ends the call once the items already begun are done. A worker
    that dies, and any interruption of the caller (Ctrl-C too), ends all of them; inside a ``with`` the next call
    starts new ones.

    Parameters
    ----------
    workers : int, optional
        How many processes; all available cores by default.
    start_method : {"forkserver", "spawn", "fork"}, optional
        How they start. By default ``"forkserver"`` on Linux and ``"spawn"`` elsewhere: a forked copy of a process
        that runs threads can hang on a lock that one of them held.

    Raises
    ------
    ValueError
        If the platform lacks `start_method`.
    WorkerDied
        From a call: if a worker was killed or exited; names the item and how.
    RuntimeError
        From a call: if `start_method` is ``"fork"`` and this process has run a GNU OpenMP region, which no
        forked child survives entering again.

    Examples
    --------
    >>> import parcount as pc
    >>> with pc.Processes(2) as processes:  # doctest: +SKIP
    ...     processes.map(abs, [-1, -2, 3])
    [1, 2, 3]
    """

    name = "processes"

    def __init__(self, workers: int | None = None, *, start_method: str | None = None) -> None:
        super().__init__(workers)
        if start_method is None:
            start_method = "forkserver" if sys.platform == "linux" else "spawn"
        methods = multiprocessing.get_all_start_methods()
        if start_method not in methods:
            raise ValueError(f"start_method must be one of {', '.join(methods)} here, not {start_method!r}")
        self.start_method = start_method
        self._crew: list[_Worker] = []

    def __repr__(self) -> str:
        return f"Processes({self.workers}, start_method={self.start_method!r})"

    def pids(self) -> list[int]:
        """The workers' process ids."""
        return [worker.process.pid for worker in self._crew if worker.process.pid is not None]

    def _open(self) -> None:
        forking = self.start_method == "fork"
        if forking:
            if hazard := fork_hazard():
                raise RuntimeError(f"start_method 'fork' is not safe here: {hazard}; use 'forkserver' or 'spawn'")
            # A forked worker that found no tracker would start one, which unlinks what it saw when the worker ends.
            resource_tracker.ensure_running()
        context = multiprocessing.get_context(self.start_method)
        try:
            for number in range(self.workers):
                ours, theirs = context.Pipe()
                inherited = [*(worker.connection for worker in self._crew), ours] if forking else []
                mark = shared.mark_for_worker()
                process = context.Process(  # type: ignore[attr-defined]
                    target=serve,
                    args=(theirs, inherited, mark),
                    name=f"parcount-{number}",
                    daemon=True,
                )
                try:
                    process.start()
                except BaseException:
                    ours.close()
                    raise
                finally:
                    theirs.close()
                self._crew.append(_Worker(process, ours, mark))
            for worker in self._crew:
                worker.receive()
        except BaseException:
            self._kill()
            raise

    def _close(self) -> None:
        try:
            for worker in self._crew:
                # Closing alone might not be noticed: children forked since, by whomever, have copies of our end.
                worker.send(STOP)
                worker.connection.close()
            for worker in self._crew:
                worker.process.join(PATIENCE)
        finally:
            self._kill()

    def _kill(self) -> None:
        for worker in self._crew:
            worker.process.kill()
        for worker in self._crew:
            worker.process.join()
            worker.process.close()
            worker.connection.close()
            shared.sweep(worker.mark)
        self._crew = []

    def _map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        with self._turn, _Call(self, function, items) as call:
            idle = list(self._crew)
            waiting = iter(range(len(items)))
            while True:
                while idle and not call.failed and (item := next(waiting, None)) is not None:
                    call.give(idle.pop(), item, TASK)
                if not call.busy:
                    return call.results()
                for ready in mpc.wait([worker.connection for worker in call.busy]):
                    worker = next(worker for worker in call.busy if worker.connection is ready)
                    call.take(worker)
                    idle.append(worker)

    def _together(self, function: Callable[[Any], Any], items: Sequence[Any]) -> tuple[list[Any], float]:
        with _Call(self, function, items) as call:
            for item, worker in enumerate(self._crew[: len(items)]):
                call.give(worker, item, HOLD)
            for worker in list(call.busy):
                call.await_ready(worker)
            opened = perf_counter()
            for worker in call.busy:
                worker.send(GO)
            for worker in list(call.busy):
                call.take(worker)
            return call.results(), opened


class _Call:
    """One call's items on their way to the workers and back.

    As a context manager it leaves no worker in an unknown state: if the call is cut short, all of them end.
    """

    def __init__(self, on: Processes, function: Callable[[Any], Any], items: Sequence[Any]) -> None:
        self.on = on
        self.function = function
        self.items = items
        self.busy: list[_Worker] = []
        self.done: dict[int, Any] = {}
        self.errors: dict[int, BaseException] = {}

    def __enter__(self) -> Self:
        if not self.on._crew:  # the call before this one was cut short
            self.on._open()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self.busy:
            self.on._kill()
            for worker in self.busy:
                worker.copies = ()

    @property
    def failed(self) -> bool:
        return bool(self.errors)

    def give(self, worker: _Worker, item: int, tag: bytes) -> None:
        message, worker.copies = shared.dumps((self.function, self.items[item]))
        worker.item = item
        self.busy.append(worker)
        worker.send(tag + message)

    def await_ready(self, worker: _Worker) -> None:
        reply = worker.receive()
        if reply != READY:
            self._keep(worker, reply)

    def take(self, worker: _Worker) -> None:
        self._keep(worker, worker.receive())

    def results(self) -> list[Any]:
        if self.errors:
            raise self.errors.pop(min(self.errors))  # kept, it would keep itself alive, and this call's arrays
        return [self.done[item] for item in range(len(self.items))]

    def _keep(self, worker: _Worker, reply: bytes) -> None:
        value, _ = shared.loads(reply[1:])
        assert worker.item is not None
        if reply[:1] == ERROR:
            error, text = value
            error.__cause__ = RemoteTraceback(text)
            self.errors[worker.item] = error
        else:
            self.done[worker.item] = value
        worker.item, worker.copies = None, ()
        self.busy.remove(worker)


def fork_hazard() -> str | None:
    """Why a child forked now could not run compiled parallel code, or None.

    Numba loads this module of its own only when the layer starts; GNU OpenMP then kills every forked child that
    enters a parallel region.
    """
    if "numba.np.ufunc.omppool" in sys.modules:
        return "this process has run parallel code on GNU OpenMP (Numba's 'omp' layer)"
    return None
