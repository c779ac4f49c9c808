"""The worker processes of one `Processes`: started, listened to, replaced, ended."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import connection as mpc
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from threading import Lock, get_ident
from typing import Any

from parcount.execution import shared
from parcount.execution.errors import RemoteTraceback, WorkerDied
from parcount.execution.worker import ERROR, STOP, pack, serve, unpack

PATIENCE = 5.0
"""Seconds that a worker that is to end by itself gets before it is killed."""

STARTS = 5
"""How many workers in a row may be killed before they are ready, until no more are started."""


@dataclass(eq=False)
class Given:
    """A part that a worker has.

    Parameters
    ----------
    item : object
        To be sent again if this worker dies.
    copies : sequence of Block
        What the message's arrays were copied into.
    deadline : float or None
        When it must be done, on the clock of `time.monotonic`.
    begun : bool
        Whether the worker may have called the function.
    """

    item: Any
    copies: Sequence[shared.Block]
    deadline: float | None
    begun: bool


@dataclass(eq=False)
class Worker:
    """A worker process, at the caller's end of its pipe."""

    process: BaseProcess
    connection: mpc.Connection
    mark: str
    ready: bool = False
    answered: int = 0
    parts: dict[int, Given] = field(default_factory=dict)

    def send(self, message: bytes) -> None:
        """Send, unless it has ended: that is found, with its exit code, when it is listened to."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send_bytes(message)

    def receive(self) -> bytes | None:
        """Its next message; None if there is none: it has ended."""
        try:
            # What it has started itself may hold its end of the pipe open: its own end is noticed apart.
            return self.connection.recv_bytes() if self.connection.poll() else None
        except (EOFError, OSError):
            return None


class Crew:
    """Worker processes, of which there are as many as asked for whenever a call begins.

    Parameters
    ----------
    size : int
        How many.
    start_method : str
        How they start.
    setup : (callable, tuple), optional
        What each calls before its first part, and with what.
    lifetime : int, optional
        After how many parts a worker is replaced.
    """

    def __init__(
        self,
        size: int,
        start_method: str,
        setup: tuple[Callable[..., object], tuple[Any, ...]] | None = None,
        lifetime: int | None = None,
    ) -> None:
        self.size = size
        self.lifetime = lifetime
        self._setup, self._copies = (b"", []) if setup is None else shared.dumps(setup)
        self._leaving: list[Worker] = []
        self.members: list[Worker] = []
        self._forking = start_method == "fork"
        self._context = multiprocessing.get_context(start_method)
        self._failures = 0
        self._turn = Lock()
        self._caller: int | None = None

    def enter(self) -> None:
        """Wait until no other thread's call has the workers; then see that all are there.

        Raises
        ------
        RuntimeError
            If this thread's own call has them: it would wait for itself.
        """
        if self._caller == get_ident():
            raise RuntimeError(
                "these workers are busy with another call of this thread: take all results of its generator, "
                "or close it, first"
            )
        self._turn.acquire()
        self._caller = get_ident()
        try:
            self._replace_idle(0)
        except BaseException:
            self.end(self.members)
            self.leave()
            raise

    def leave(self) -> None:
        """Let the next call have the workers."""
        self._caller = None
        self._turn.release()

    def pids(self) -> list[int]:
        """The process ids."""
        return [worker.process.pid for worker in list(self.members) if worker.process.pid is not None]

    def fill(self) -> None:
        """Start as many workers as are missing, without waiting until they are ready."""
        if self._forking and len(self.members) < self.size:
            if hazard := fork_hazard():
                raise RuntimeError(f"start_method 'fork' is not safe here: {hazard}; use 'forkserver' or 'spawn'")
            # A forked worker that found no tracker would start one, which unlinks what it saw when the worker ends.
            resource_tracker.ensure_running()
        while len(self.members) < self.size:
            self._start()

    def gather(self) -> None:
        """Wait until all workers are ready; none may have a part."""
        self.fill()
        while not all(worker.ready for worker in self.members):
            self._replace_idle(None)

    def listen(self, timeout: float | None) -> list[tuple[Worker, bytes | None]]:
        """Wait until workers say something, or end.

        Parameters
        ----------
        timeout : float or None
            Seconds to wait at most.

        Returns
        -------
        list
            Of workers that were ready: each with its message, or None if it has ended and is to be removed.

        Raises
        ------
        WorkerDied
            If one ended by itself before it was ready, or `STARTS` in a row were killed then.
        Exception
            What the initializer raised.
        """
        sources: dict[Any, Worker] = {}
        for worker in self.members:
            sources[worker.connection] = sources[worker.process.sentinel] = worker
        said = []
        for worker in dict.fromkeys(sources[source] for source in mpc.wait(list(sources), timeout)):
            message = worker.receive()
            if worker.ready:
                said.append((worker, message))
            elif message is None:
                self._failed(worker)
            else:
                tag, _, payload = unpack(message)
                if tag == ERROR:
                    error, text = shared.loads(payload)[0]
                    raise error from RemoteTraceback(text)
                worker.ready = True
                self._failures = 0
        return said

    def remove(self, worker: Worker) -> int | None:
        """Take a worker off that has ended; returns its exit code."""
        self.members.remove(worker)
        worker.process.join(PATIENCE)  # it may have lost its pipe only
        return self._bury(worker)

    def retire(self, worker: Worker) -> None:
        """Let a worker go that has had its number of parts, if it has; another takes its place."""
        worker.answered += 1
        if self.lifetime is None or worker.answered < self.lifetime or worker.parts:
            return
        self.members.remove(worker)
        worker.send(pack(STOP))
        self._leaving.append(worker)
        for left in list(self._leaving):  # it takes a while to end, which nobody should wait for
            if left.process.exitcode is not None:
                self._leaving.remove(left)
                self._bury(left)
        self.fill()

    def end(self, workers: Sequence[Worker]) -> None:
        """Kill workers; others take their place when the next call begins."""
        for worker in workers:
            worker.process.kill()
        for worker in list(workers):
            self.members.remove(worker)
            self._bury(worker)

    def close(self) -> None:
        """End all workers: at once those that have a part, which nobody waits for any more."""
        try:
            for worker in self.members:
                if worker.parts:
                    worker.process.kill()
                # Closing alone might not be noticed: children forked since, by whomever, have copies of our end.
                worker.send(pack(STOP))
                worker.connection.close()
            for worker in (*self.members, *self._leaving):
                worker.process.join(PATIENCE)
        finally:
            self.end(self.members)
            while self._leaving:
                self._bury(self._leaving.pop())

    def _replace_idle(self, timeout: float | None) -> None:
        for worker, message in self.listen(timeout):
            assert message is None, "a worker without a part said something"
            self.remove(worker)
        self.fill()

    def _start(self) -> None:
        ours, theirs = self._context.Pipe()
        inherited = [*(worker.connection for worker in (*self.members, *self._leaving)), ours] if self._forking else []
        mark = shared.mark_for_worker()
        process = self._context.Process(  # type: ignore[attr-defined]
            target=serve,
            args=(theirs, inherited, mark, self._setup),
            name=f"parcount-{mark}",
            daemon=True,
        )
        try:
            process.start()
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self.members.append(Worker(process, ours, mark))

    def _failed(self, worker: Worker) -> None:
        """Start another in place of a worker that never was ready; not for ever, and not if it ended by itself."""
        exitcode = self.remove(worker)
        self._failures += 1
        if exitcode is None or exitcode >= 0 or self._failures >= STARTS:
            raise WorkerDied(None, exitcode, self._failures)
        self.fill()

    def _bury(self, worker: Worker) -> int | None:
        worker.process.kill()
        worker.process.join()
        exitcode = worker.process.exitcode
        worker.process.close()
        worker.connection.close()
        shared.sweep(worker.mark)
        for given in worker.parts.values():
            given.copies = ()  # an error that is being raised may hold on to what it was that failed
        worker.parts.clear()
        return exitcode


def fork_hazard() -> str | None:
    """Why a child forked now could not run compiled parallel code, or None.

    Numba loads this module of its own only when the layer starts; GNU OpenMP then kills every forked child that
    enters a parallel region.
    """
    if "numba.np.ufunc.omppool" in sys.modules:
        return "this process has run parallel code on GNU OpenMP (Numba's 'omp' layer)"
    return None
