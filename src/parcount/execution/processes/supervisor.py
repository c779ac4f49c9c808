"""The supervisor of the worker processes of one `Processes`: starts, polls, replaces and ends them."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from threading import get_ident
from time import monotonic, sleep
from typing import Any
from weakref import WeakSet

from parcount.execution import pinned_threads
from parcount.execution.base import check_owner
from parcount.execution.errors import WorkerDied
from parcount.execution.fair_lock import FairLock
from parcount.execution.pickling import hide_missing_main_file
from parcount.execution.processes import nesting
from parcount.execution.processes.channel import ERROR, NONE, STOP, TASK, TOO_LARGE, Channel, Received
from parcount.execution.processes.poller import Poller
from parcount.execution.processes.serialisation import Message, Packing, dumps, loads_bytes
from parcount.execution.processes.transports import Transport
from parcount.execution.processes.worker import WorkerConfig, serve
from parcount.shm import blocks
from parcount.system import thread_limits
from parcount.system.cores import available_cores

SHUTDOWN_SECONDS = 5.0
"""Seconds that a worker has to exit before it is killed."""

MAX_FAILED_STARTS = 5
"""The number of consecutive workers that may be killed before they are ready, or before they start their item."""

IDLE_THREADS: WeakSet[threading.Thread] = WeakSet()
"""Dispatchers' threads that wait for calls, and so hold no lock that a forked child could wait for."""

IDLE_SECONDS = 0.1
"""Seconds to wait before a fork until dispatchers' threads are idle: a future has its result a little earlier."""

DISPATCHER = "parcount-submit"
"""The name of these threads."""

FORK_SERVER_LOST = 255
"""The exit code that `multiprocessing` gives a process whose fork server has ended."""


@dataclass(eq=False)
class PendingTask:
    """An item that has been sent to a worker."""

    item: Any
    copies: Sequence[blocks.Block]  # of arrays in the message
    deadline: float | None  # a time of `time.monotonic`
    started: bool  # whether the worker may have called the function


@dataclass(eq=False)
class Worker:
    """A worker process and the caller's end of its channel; while it is initialized, `NONE` is pending."""

    process: BaseProcess
    channel: Channel
    name_prefix: str
    pid: int  # kept here: a process that another thread has closed does not tell it
    ready: bool = False
    stalled: bool = False
    broken: bool = False  # has been killed because a message was not received, or sent, to its end
    completed: int = 0
    pending: dict[int, PendingTask] = field(default_factory=dict)

    @property
    def deadline(self) -> float | None:
        """The earliest deadline of its items, or of its initializer."""
        tasks = list(self.pending.values())  # at once: another thread may send one
        return min((task.deadline for task in tasks if task.deadline is not None), default=None)

    def late(self) -> set[int]:
        """The positions of items that are past their deadlines."""
        now = monotonic()
        return {
            position for position, task in self.pending.items() if task.deadline is not None and task.deadline <= now
        }

    def send(self, tag: bytes, position: int = NONE, message: Message | None = None) -> None:
        """Send, unless the worker has ended, which `receive` reports, or does not read until its deadline."""
        if self.stalled:
            return
        with suppress(BrokenPipeError, ConnectionResetError):
            try:
                self.channel.send(tag, position, message, self.deadline)
            except TimeoutError:
                self.stalled = True

    def break_off(self) -> None:
        """Kill it, and receive no more messages."""
        self.broken = True
        self.process.kill()

    def receive(self) -> Received | None:
        """Its next message, or None if it has ended; TimeoutError if the message is not complete by the deadline."""
        try:
            message = self.channel.receive(self.deadline)
            if message[0] == TOO_LARGE:
                self.break_off()
            return message
        except TimeoutError:
            self.stalled = True
            raise
        except (EOFError, OSError):
            return None


@dataclass(eq=False)
class WorkerPool:
    """A pool of worker processes, complete whenever a call begins."""

    size: int
    start_method: str
    transport: Transport
    threads: int = 1  # of each worker
    setup: tuple[Callable[[Any], object], Any] | None = None  # the function and the item of a worker's first task
    max_tasks: int | None = None  # after which a worker is replaced
    timeout: float | None = None  # of each item and of the initializer, in seconds

    def __post_init__(self) -> None:
        self._setup: Message | None = None
        self._copies: list[blocks.Block] = []
        if self.setup is not None:
            packing = Packing(
                shared_copy_min=self.transport.packing.shared_copy_min, forked=self.start_method == "fork"
            )
            function, item = self.setup
            self._setup, self._copies = dumps((function, (item,), {}), packing)
        self._retiring: list[Worker] = []
        self.workers: list[Worker] = []
        self._context = multiprocessing.get_context(self.start_method)
        self._failures = 0
        self._last_exitcode: int | None = None
        self._exclusive = FairLock()
        self.poller = Poller()
        self.on_wait: Callable[[], object] | None = None  # called before a call waits for another one
        self._caller: int | None = None
        self._owner = os.getpid()
        # Of the calling thread's share of the cores: another thread may start workers later.
        self._thread_limit = thread_limits.threads_per_worker(available_cores(), self.size * self.threads)
        _pools.add(self)

    def deadline(self) -> float | None:
        """The time of `time.monotonic` by which a task sent now must be done."""
        return None if self.timeout is None else monotonic() + self.timeout

    @property
    def contended(self) -> bool:
        """Whether a call waits until another one releases the workers."""
        return self._exclusive.contended

    @property
    def used_by_this_thread(self) -> bool:
        """Whether a call of this thread uses the workers: a generator that has not ended."""
        return self._caller == get_ident()

    def check_usable(self) -> None:
        """Check that this thread may call the workers.

        Raises
        ------
        RuntimeError
            If another call of this thread uses them, or this process is a fork of the one that started them.
        """
        check_owner(self._owner)
        if self.used_by_this_thread:
            raise RuntimeError(
                "these workers are busy with another call of this thread: take all results of its generator, "
                "or close it, first"
            )

    def lock(self, *, block: bool = True, thread: int | None = None) -> bool:
        """Wait until no other call uses the workers, and take them for one of this thread or of the one given.

        Returns False if another call uses them and `block` is false.
        """
        if not self._exclusive.acquire(block=block, on_wait=self.on_wait):
            return False
        self._caller = thread or get_ident()
        self._failures = 0
        return True

    def acquire(self) -> None:
        """Take the workers for a call of this thread, and start those that are missing; raises as `check_usable`."""
        self.check_usable()
        self.lock()
        try:
            self.replace_dead(block=False)
        except BaseException:
            self.kill(self.workers)
            self.release()
            raise

    def release(self) -> None:
        """Release the workers for the next call."""
        self._caller = None
        self._exclusive.release()

    def pids(self) -> list[int]:
        """The process ids."""
        return [worker.pid for worker in list(self.workers)]

    def start_missing(self) -> None:
        """Start the missing workers without waiting until they are ready.

        If that fails while other workers are ready, the call continues with those, and the next one tries again.
        """
        if self._failures >= MAX_FAILED_STARTS and self.workers:
            return
        try:
            while len(self.workers) < self.size:
                self._start()
        except (OSError, RuntimeError):
            if not any(worker.ready for worker in self.workers):
                raise

    def start_all(self) -> None:
        """Wait until all workers are ready; none may have an item.

        Raises
        ------
        OSError
            If the system cannot start more processes; the message says how many were started.
        RuntimeError
            If the start method is ``"fork"`` and forking is not safe.
        WorkerDied
            If a worker ended by itself before it was ready, or `MAX_FAILED_STARTS` in a row were killed before.
        """
        while True:
            while len(self.workers) < self.size:
                self._start()
            if all(worker.ready for worker in self.workers):
                return
            self.replace_dead()
            if self._failures >= MAX_FAILED_STARTS:
                raise WorkerDied(None, self._last_exitcode, self._failures)

    def wait(self, *, block: bool = True) -> list[Any]:
        """Wait for a message, the end of a worker, or a deadline; return what is ready, for `poll`."""
        deadlines = [worker.deadline for worker in self.workers if worker.deadline is not None]
        return self.poller.wait(min(deadlines, default=None) if block else 0.0)

    def poll(self, ready: Sequence[Any] | None = None) -> list[tuple[Worker, Received | None]]:
        """Receive the messages of workers.

        Parameters
        ----------
        ready : sequence, optional
            What `wait` has returned; by default this method waits.

        Returns
        -------
        list
            Workers, each with its message, or with None if it has ended and is to be removed.

        Raises
        ------
        WorkerDied
            As for `start_all`.
        Exception
            The exception of the initializer.
        """
        ready = self.wait() if ready is None else ready
        messages: list[tuple[Worker, Received | None]] = []
        for worker, message in self._receive(ready):
            if worker.ready:
                messages.append((worker, message))
            elif message is None:
                self._failed(worker)
            else:
                tag, _, payload = message
                if tag == ERROR:
                    raise loads_bytes(payload.data).error(loads_bytes)
                if self._setup is not None and not worker.pending:
                    worker.pending[NONE] = PendingTask(None, (), self.deadline(), started=True)
                    worker.send(TASK, NONE, self._setup)
                else:
                    worker.pending.clear()
                    worker.ready = True
                    self._failures = 0
        for worker in list(self.workers):
            if not worker.ready and worker.late():
                worker.process.kill()
                self._failed(worker, self.timeout)
        return messages

    def _receive(self, ready: Sequence[Any]) -> Iterator[tuple[Worker, Received | None]]:
        for worker in list(self.workers) if ready else ():
            # Children of a worker may keep its end of the channel open, so its exit is detected by its sentinel.
            has_message = worker.channel.waitable in ready
            if worker.stalled or not (has_message or worker.process.sentinel in ready):
                continue
            if worker.broken:
                yield worker, None
                continue
            with suppress(TimeoutError):
                message = worker.receive() if has_message or worker.channel.waitable.poll() else None
                yield worker, message
                while message is not None and not worker.broken and worker.channel.has_received:
                    message = worker.receive()
                    yield worker, message

    def remove(self, worker: Worker) -> int | None:
        """Remove a worker that has ended; returns its exit code."""
        self._forget(worker)
        worker.process.join(SHUTDOWN_SECONDS)  # it may have closed its pipe only
        return self._dispose(worker)

    def can_take(self, worker: Worker) -> bool:
        """Whether another item can be sent to a worker now."""
        coming = worker.completed + len(worker.pending)
        return (
            worker.ready
            and not (worker.stalled or worker.broken)
            and len(worker.pending) < self.threads
            and (self.max_tasks is None or coming < self.max_tasks)
        )

    def task_done(self, worker: Worker) -> None:
        """Count a finished item, and replace the worker if that was its last."""
        worker.completed += 1
        if self.max_tasks is None or worker.completed < self.max_tasks or worker.pending:
            return
        self._forget(worker)
        worker.send(STOP)
        self._retiring.append(worker)
        for retired in list(self._retiring):  # no call waits until a worker has exited
            if retired.process.exitcode is not None:
                self._retiring.remove(retired)
                self._dispose(retired)
        self.start_missing()

    def kill(self, workers: Sequence[Worker]) -> None:
        """Kill workers; the next call replaces them."""
        for worker in workers:
            worker.process.kill()
        for worker in list(workers):
            self._forget(worker)
            self._dispose(worker)

    def close(self) -> None:
        """End all workers; kill those that have an item."""
        try:
            for worker in self.workers:
                if worker.pending:
                    worker.process.kill()
                # Other children of this process may have copies of this end: closing it may not be noticed.
                worker.send(STOP)
                worker.channel.close()
            for worker in (*self.workers, *self._retiring):
                worker.process.join(SHUTDOWN_SECONDS)
        finally:
            self.kill(self.workers)
            while self._retiring:
                self._dispose(self._retiring.pop())

    def replace_dead(self, *, block: bool = True) -> None:
        """Replace workers that have died; none may have an item."""
        for worker, message in self.poll(self.wait(block=block)):
            assert message is None, "a worker without an item sent a message"
            self.remove(worker)
        self.start_missing()

    def _start(self) -> None:
        if self.start_method == "fork":
            if hazard := fork_hazard():
                raise RuntimeError(f"start_method 'fork' is not safe here: {hazard}; use 'forkserver' or 'spawn'")
            # A forked worker without a resource tracker would start its own, which unlinks its blocks when it ends.
            resource_tracker.ensure_running()
        try:
            attempts = MAX_FAILED_STARTS if self.start_method == "forkserver" and _preload() else 2
            self.workers.append(self._start_process(attempts))
        except OSError as error:
            started = f"the system started {len(self.workers)} of {self.size} worker processes, and then: {error}"
            raise OSError(error.errno, started) from error

    def _start_process(self, attempts: int) -> Worker:
        """Start a worker process, again if the fork server turns out to have died."""
        ours, theirs = self.transport.open(self._context)
        name_prefix = blocks.name_prefix_for_worker()
        config = WorkerConfig(
            name_prefix,
            self._setup is not None,
            self.transport.packing,
            self.threads,
            self._thread_limit,
        )
        inherited: list[Channel] = []
        if self.start_method == "fork":
            inherited = [*(worker.channel for worker in (*self.workers, *self._retiring)), ours]
        try:
            if self.start_method == "forkserver":
                nesting.prepare_fork_server()
            with nesting.children_allowed(), hide_missing_main_file():
                process = self._context.Process(  # type: ignore[attr-defined]
                    target=serve, args=(theirs, inherited, config), name=f"parcount-{name_prefix}", daemon=True
                )
                process.start()
        except BaseException as error:
            ours.close_peer()
            ours.close()
            if isinstance(error, ConnectionError | EOFError):
                if attempts == 1:  # from Python 3.14 on the fork server runs the main module, as workers do
                    raise WorkerDied(None, None) from error
                sleep(0.01 * 2 ** (MAX_FAILED_STARTS - attempts))
                return self._start_process(attempts - 1)
            raise
        ours.close_peer()
        self.poller.register(ours.waitable, process.sentinel)
        assert process.pid is not None
        return Worker(process, ours, name_prefix, process.pid)

    def _failed(self, worker: Worker, timeout: float | None = None) -> None:
        """Replace a worker that ended before it was ready, unless that has failed too often.

        A worker that was killed, or whose fork server has ended, is replaced up to `MAX_FAILED_STARTS` times; one that
        ended with the exit code of an exception once, because it may have been interrupted; any other is not.
        """
        initializing = bool(worker.pending)
        exitcode = self._last_exitcode = self.remove(worker)
        self._failures += 1
        if (exitcode or 0) < 0 or (exitcode == FORK_SERVER_LOST and self.start_method == "forkserver"):
            failed = self._failures >= MAX_FAILED_STARTS and not any(worker.ready for worker in self.workers)
        else:
            failed = exitcode != 1 or initializing or self._failures > 1
        if failed:
            raise WorkerDied(None, exitcode, self._failures, timeout)
        self.start_missing()

    def _forget(self, worker: Worker) -> None:
        self.workers.remove(worker)
        self.poller.unregister(worker.channel.waitable, worker.process.sentinel)

    def _dispose(self, worker: Worker) -> int | None:
        worker.process.kill()
        worker.process.join()
        exitcode = worker.process.exitcode
        worker.process.close()
        worker.channel.close()
        blocks.sweep_prefix(worker.name_prefix)
        for task in worker.pending.values():
            task.copies = ()  # a traceback may keep the task alive
        worker.pending.clear()
        return exitcode


_pools: WeakSet[WorkerPool] = WeakSet()


def _forget_the_parents_workers() -> None:
    """Have no workers in a forked child: it must not end its parent's, nor keep them from ending with their caller."""
    for pool in list(_pools):
        for worker in (*pool.workers, *pool._retiring):
            nesting.close_inherited(worker.process)
        pool.workers.clear()
        pool._retiring.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_the_parents_workers)


def fork_hazard() -> str | None:
    """Why a child forked now could deadlock or be killed; None if no reason is known.

    Other threads may hold locks that are never released in the child. Pinned threads only wait for work, and the feeder
    threads of queues hold no lock that the child uses. Numba imports the module of its OpenMP layer when that starts;
    GNU OpenMP then kills every forked child that enters a parallel region.
    """
    if "numba.np.ufunc.omppool" in sys.modules:
        return "this process has run parallel code on GNU OpenMP (Numba's 'omp' layer)"
    deadline = monotonic() + IDLE_SECONDS
    while others := _other_threads():
        if others == {DISPATCHER} and monotonic() < deadline:
            sleep(0.001)
            continue
        names = ", ".join(sorted(others))
        return f"this process runs other threads ({names}), and a child could wait for their locks for ever"
    return None


def _other_threads() -> set[str]:
    """The names of threads of which a forked child could need a lock."""
    harmless = {threading.current_thread(), *pinned_threads.live_threads(), *IDLE_THREADS}
    return {thread.name for thread in threading.enumerate() if thread not in harmless} - {"QueueFeederThread"}


def _preload() -> bool:
    """Let a fork server that has not started yet import the worker's modules; returns whether it has started.

    A call that starts and ends a worker then takes a quarter of the time (``bench/test_dispatch.py``).
    """
    from multiprocessing.forkserver import _forkserver, set_forkserver_preload

    modules = _forkserver._preload_modules  # type: ignore[attr-defined]  # the program's own
    if serve.__module__ not in modules:
        set_forkserver_preload([*modules, serve.__module__, "threadpoolctl"])  # missing modules are ignored
    return _forkserver._forkserver_pid is not None  # type: ignore[attr-defined]
