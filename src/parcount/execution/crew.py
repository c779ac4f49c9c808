"""The worker processes of one `Processes`: started, listened to, replaced, ended."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import connection as mpc
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from threading import Lock, get_ident
from time import sleep
from typing import Any

from parcount.execution import inner, team
from parcount.execution.channels import ERROR, STOP, Channel, Received
from parcount.execution.cores import available_cores
from parcount.execution.errors import RemoteTraceback, WorkerDied
from parcount.execution.messages import Packing, dumps, loads
from parcount.execution.sendable import without_a_file
from parcount.execution.transports import Transport
from parcount.execution.worker import Kit, serve
from parcount.shm import blocks

PATIENCE = 5.0
"""Seconds that a worker that is to end by itself gets before it is killed."""

STARTS = 5
"""How many workers in a row may be killed before they are ready, or before an item begins there; or fail to start."""


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
    copies: Sequence[blocks.Block]
    deadline: float | None
    begun: bool


@dataclass(eq=False)
class Worker:
    """A worker process, at the caller's end of its channel."""

    process: BaseProcess
    channel: Channel
    mark: str
    ready: bool = False
    answered: int = 0
    parts: dict[int, Given] = field(default_factory=dict)

    def send(self, *message: Any) -> None:
        """Send, unless it has ended: that is found, with its exit code, when it is listened to."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.channel.send(*message)

    def receive(self) -> Received | None:
        """Its next message; None if there is none: it has ended."""
        try:
            # What it has started itself may hold its end of the channel open: its own end is noticed apart.
            return self.channel.receive() if self.channel.poll() else None
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
    transport : Transport
        How what they are sent travels, and what they answer.
    threads : int
        How many parts each works at at once.
    setup : (callable, tuple), optional
        What each calls before its first part, and with what.
    lifetime : int, optional
        After how many parts a worker is replaced.
    """

    def __init__(
        self,
        size: int,
        start_method: str,
        transport: Transport,
        threads: int = 1,
        setup: tuple[Callable[..., object], tuple[Any, ...]] | None = None,
        lifetime: int | None = None,
    ) -> None:
        self.size = size
        self.threads = threads
        self.lifetime = lifetime
        self._setup = b""
        self._copies: list[blocks.Block] = []
        if setup is not None:
            message, self._copies = dumps(setup, Packing(copied_from=transport.packing.copied_from))
            self._setup = message.data
        self._transport = transport
        self._leaving: list[Worker] = []
        self.members: list[Worker] = []
        self._start_method = start_method
        self._context = multiprocessing.get_context(start_method)
        self._failures = 0
        self._last_exitcode: int | None = None
        self._turn = Lock()
        self._caller: int | None = None
        self._owner = os.getpid()

    def enter(self) -> None:
        """Wait until no other thread's call has the workers; then see that all are there.

        Raises
        ------
        RuntimeError
            If this thread's own call has them: it would wait for itself. If this process is a fork of the one that
            they work for.
        """
        if self._owner != os.getpid():
            raise RuntimeError(f"these workers work for process {self._owner}, of which this one is a fork")
        if self._caller == get_ident():
            raise RuntimeError(
                "these workers are busy with another call of this thread: take all results of its generator, "
                "or close it, first"
            )
        self._turn.acquire()
        self._caller = get_ident()
        self._failures = 0
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
        """Start as many workers as are missing, without waiting until they are ready.

        If that fails while there are others, these go on without them, and the next call tries again.
        """
        if self._failures >= STARTS:
            return
        try:
            while len(self.members) < self.size:
                self._start()
        except (OSError, RuntimeError):
            if not any(worker.ready for worker in self.members):
                raise

    def gather(self) -> None:
        """Wait until all workers are ready; none may have a part.

        Raises
        ------
        OSError
            If the system starts no more processes; says how many it has started.
        RuntimeError
            If they are to be forked, and that is not safe.
        WorkerDied
            If one ended by itself before it was ready, or `STARTS` in a row were killed then.
        """
        while True:
            while len(self.members) < self.size:
                self._start()
            if all(worker.ready for worker in self.members):
                return
            self._replace_idle(None)
            if self._failures >= STARTS:
                raise WorkerDied(None, self._last_exitcode, self._failures)

    def listen(self, timeout: float | None) -> list[tuple[Worker, Received | None]]:
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
            sources[worker.channel.source] = sources[worker.process.sentinel] = worker
        said = []
        for worker in dict.fromkeys(sources[source] for source in mpc.wait(list(sources), timeout)):
            message = worker.receive()
            if worker.ready:
                said.append((worker, message))
            elif message is None:
                self._failed(worker)
            else:
                tag, _, payload = message
                if tag == ERROR:
                    error, text = loads(payload)[0]
                    raise error from RemoteTraceback(text)
                worker.ready = True
                self._failures = 0
        return said

    def remove(self, worker: Worker) -> int | None:
        """Take a worker off that has ended; returns its exit code."""
        self.members.remove(worker)
        worker.process.join(PATIENCE)  # it may have lost its pipe only
        return self._bury(worker)

    def takes(self, worker: Worker) -> bool:
        """Whether a worker can have another part now."""
        coming = worker.answered + len(worker.parts)
        return worker.ready and len(worker.parts) < self.threads and (self.lifetime is None or coming < self.lifetime)

    def retire(self, worker: Worker) -> None:
        """Let a worker go that has had its number of parts, if it has; another takes its place."""
        worker.answered += 1
        if self.lifetime is None or worker.answered < self.lifetime or worker.parts:
            return
        self.members.remove(worker)
        worker.send(STOP)
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
                worker.send(STOP)
                worker.channel.close()
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
        forking = self._start_method == "fork"
        if forking:
            if hazard := fork_hazard():
                raise RuntimeError(f"start_method 'fork' is not safe here: {hazard}; use 'forkserver' or 'spawn'")
            # A forked worker that found no tracker would start one, which unlinks what it saw when the worker ends.
            resource_tracker.ensure_running()
        try:
            served = self._start_method == "forkserver" and _preload()
            self.members.append(self._started(STARTS if served else 1))
        except OSError as error:
            started = f"the system started {len(self.members)} of {self.size} worker processes, and then: {error}"
            raise OSError(error.errno, started) from error

    def _started(self, attempts: int) -> Worker:
        """A new worker process. A fork server that has served, and has died or is just dying, is replaced meanwhile."""
        ours, theirs = self._transport.open(self._context)
        mark = blocks.name_prefix_for_worker()
        kit = Kit(
            mark,
            self._setup,
            self._transport.packing,
            self.threads,
            inner.share(available_cores(), self.size * self.threads),
        )
        inherited: list[Channel] = []
        if self._start_method == "fork":
            inherited = [*(worker.channel for worker in (*self.members, *self._leaving)), ours]
        try:
            process = self._context.Process(  # type: ignore[attr-defined]
                target=serve, args=(theirs, inherited, kit), name=f"parcount-{mark}", daemon=True
            )
            with without_a_file():
                process.start()
        except BaseException as error:
            ours.part()
            ours.close()
            if isinstance(error, ConnectionError | EOFError):
                if attempts == 1:  # from Python 3.14 on the fork server runs the main module, as workers do
                    raise WorkerDied(None, None) from error
                sleep(0.01 * 2 ** (STARTS - attempts))
                return self._started(attempts - 1)
            raise
        ours.part()
        return Worker(process, ours, mark)

    def _failed(self, worker: Worker) -> None:
        """Start another in place of a worker that never was ready; not for ever, and not if it ended by itself."""
        exitcode = self._last_exitcode = self.remove(worker)
        self._failures += 1
        in_vain = self._failures >= STARTS and not any(worker.ready for worker in self.members)
        if exitcode is None or exitcode >= 0 or in_vain:
            raise WorkerDied(None, exitcode, self._failures)
        self.fill()

    def _bury(self, worker: Worker) -> int | None:
        worker.process.kill()
        worker.process.join()
        exitcode = worker.process.exitcode
        worker.process.close()
        worker.channel.close()
        blocks.sweep_prefix(worker.mark)
        for given in worker.parts.values():
            given.copies = ()  # an error that is being raised may hold on to what it was that failed
        worker.parts.clear()
        return exitcode


def fork_hazard() -> str | None:
    """Why a child forked now might hang, or be killed; None if nothing is known against it.

    Other threads may hold locks that nobody will release in the child. Those of our standing teams wait for work, and
    those that feed queues hold none that the child uses. Numba loads the module of its OpenMP layer only when
    that starts; GNU OpenMP then kills every forked child that enters a parallel region.
    """
    if "numba.np.ufunc.omppool" in sys.modules:
        return "this process has run parallel code on GNU OpenMP (Numba's 'omp' layer)"
    harmless = {threading.current_thread(), *team.standing_threads()}
    others = [
        thread.name for thread in threading.enumerate() if thread not in harmless and thread.name != "QueueFeederThread"
    ]
    if others:
        return f"this process runs other threads ({', '.join(others)}), whose locks a child might wait for for ever"
    return None


def _preload() -> bool:
    """Have the fork server, if it has not started yet, import what every worker needs, once instead of in each.

    Returns whether it has started.

    A call that starts a worker and ends it then takes a quarter of the time (``bench/test_dispatch.py``).
    """
    from multiprocessing.forkserver import _forkserver, set_forkserver_preload

    modules = _forkserver._preload_modules  # type: ignore[attr-defined]  # those that the program itself has named stay
    if serve.__module__ not in modules:
        set_forkserver_preload([*modules, serve.__module__, "threadpoolctl"])  # it goes on without what there is not
    return _forkserver._forkserver_pid is not None  # type: ignore[attr-defined]
