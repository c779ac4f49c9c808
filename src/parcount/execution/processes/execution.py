"""Worker processes: each has an interpreter, and a GIL, of its own.

Written by hand where `concurrent.futures.ProcessPoolExecutor` would nearly do: that one ends for good when a worker
dies, tells neither which item the worker had nor how it ended, cannot start all workers at one instant, and sends
arrays through a pipe. This one has a channel for each worker and, but for that of queues, no helper threads.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush
from time import monotonic, perf_counter
from types import TracebackType
from typing import Any, Literal, Self

from parcount.execution.base import Execution, check_initializer, integer
from parcount.execution.errors import RemoteTraceback, WorkerDied
from parcount.execution.pickling import ARGUMENT, make_picklable, unpicklable
from parcount.execution.processes.channel import ERROR, GO, HOLD, READY, TASK, Received, seconds_until
from parcount.execution.processes.serialisation import check, dumps, loads
from parcount.execution.processes.supervisor import MAX_FAILED_STARTS, PendingTask, Worker, WorkerPool
from parcount.execution.processes.transports import TRANSPORTS, TransportName
from parcount.execution.stream import Outcome, TaskStream, stream_results

StartMethod = Literal["fork", "forkserver", "spawn"]


class Processes(Execution):
    """`workers` processes on this machine, of one thread each, or of `threads`.

    The function and the items must pickle; functions that plain pickle refuses (lambdas, functions defined inside
    others) are sent by cloudpickle, where that is installed. An array made by `shared_array`, or a slice of one,
    crosses without any copy, as its name; one over a memory-mapped file as that file's name and its place in it;
    any other by `transport`.

    A worker that dies, whatever has killed it, is replaced, and its item tried again by another, `retries` times. An
    exception of the function's is none of that: it ends the call once the items already begun are done. `WorkerDied`,
    and any interruption of the caller (Ctrl-C too), ends all workers; inside a ``with`` the next call starts new ones.

    Inside a ``with``, calls from several threads take turns.

    Parameters
    ----------
    workers : int, optional
        How many processes; all available cores by default.
    threads : int, optional
        How many items each works at at once, in threads of its own: `workers` times as many in all.
    start_method : {"forkserver", "spawn", "fork"}, optional
        How they start. By default ``"forkserver"`` on Linux and ``"spawn"`` elsewhere: a forked copy of a process
        that runs threads can hang on a lock that one of them held.
    transport : {"pipe", "shared_memory", "queue", "pickle"}, optional
        How arrays travel, in items and in results. By default through the worker's pipe, straight from where they lie
        to where they stay. ``"shared_memory"`` copies large ones once, into shared memory of their own, which takes
        nobody's time until they are read, but pages that have never been used; ``"pickle"`` sends them through the pipe
        too, but as part of what is pickled, with copies on either side; ``"queue"`` so through a
        `multiprocessing.Queue`, whose thread lets the caller go on before the worker has taken all. ``parcount
        study transports`` measures which is the one to choose.
    retries : int, optional
        How many more workers get an item if the one that has it dies. That holds for `together` as a whole: there all
        items begin again, on new workers.
    timeout : float, optional
        Seconds that an item may take, its way to the worker and back included, and that the initializer may take. A
        worker that takes longer is killed, which counts as its death. No limit by default.
    initializer : callable, optional
        What each process calls before its first item. What it raises ends the call, with the worker's traceback.
    initargs : tuple, optional
        With what.
    max_tasks_per_worker : int, optional
        How many items a worker gets until another takes its place: for code that leaks.

    Raises
    ------
    TypeError
        If `workers`, `threads`, `retries` or `max_tasks_per_worker` is not an integer, `timeout` is not a number,
        or `initializer` is not callable. From a call: if the
        function, an item or the initializer cannot be pickled; the message says which, and why.
    ValueError
        If the platform lacks `start_method`, there is no such `transport`, `retries` is negative, or `timeout` is not
        positive.
    OSError
        From a call: if the system does not start as many processes.
    WorkerDied
        From a call: if the retries of an item have run out; names the item, and how the last worker died.
    RuntimeError
        From a call: if `start_method` is ``"fork"`` and this process runs other threads, whose locks a forked child
        might wait for for ever, or has run a GNU OpenMP region, which no forked child survives entering again. If it
        is a fork of the process that the workers were started in.

    Notes
    -----
    An item that is tried again is sent again as it is at the caller. What its first worker wrote into arrays of
    `shared_array`, counted up in a `SharedCounter`, or did to the world outside, stays done: say
    ``idempotent=False`` to the call where that makes a second try wrong.

    The pools of threads that BLAS, OpenMP and Numba have inside a worker are held down to its share of the cores,
    unless their environment variables are set (``OMP_NUM_THREADS`` and the like). For a BLAS that is loaded before the
    worker's first item, NumPy's for one, that takes threadpoolctl, of the extra ``study``. In the caller they stay as
    they are.

    Workers end when the caller has ended, however it did and whatever they are doing: on Linux at once, by SIGKILL.

    Examples
    --------
    >>> import parcount as pc
    >>> with pc.Processes(2) as processes:  # doctest: +SKIP
    ...     processes.map(abs, [-1, -2, 3])
    [1, 2, 3]
    """

    name = "processes"
    parts_per_worker = 4

    def __init__(
        self,
        workers: int | None = None,
        *,
        threads: int = 1,
        start_method: StartMethod | None = None,
        transport: TransportName = "pipe",
        retries: int = 2,
        timeout: float | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        max_tasks_per_worker: int | None = None,
    ) -> None:
        super().__init__(workers)
        if start_method is None:
            start_method = "forkserver" if sys.platform == "linux" else "spawn"
        methods = multiprocessing.get_all_start_methods()
        if start_method not in methods:
            raise ValueError(f"start_method must be one of {', '.join(methods)} here, not {start_method!r}")
        if transport not in TRANSPORTS:
            raise ValueError(f"transport must be one of {', '.join(TRANSPORTS)}, not {transport!r}")
        self.threads = integer("threads", threads)
        self.start_method = start_method
        self.transport = transport
        self.retries = integer("retries", retries, least=0)
        self.timeout = _seconds(timeout)
        check_initializer(initializer)
        self._setup = None if initializer is None else (initializer, tuple(initargs))
        self.max_tasks_per_worker = (
            None if max_tasks_per_worker is None else integer("max_tasks_per_worker", max_tasks_per_worker)
        )
        self._pool: WorkerPool | None = None

    def __repr__(self) -> str:
        threads = f", threads={self.threads}" if self.threads > 1 else ""
        return f"Processes({self.workers}{threads}, start_method={self.start_method!r}, transport={self.transport!r})"

    @property
    def concurrency(self) -> int:
        """How many items can run at once: as many as all processes have threads."""
        return self.workers * self.threads

    @property
    def _forks(self) -> bool:
        return self.start_method == "fork"

    def pids(self) -> list[int]:
        """The workers' process ids."""
        pool = self._pool
        return [] if pool is None else pool.pids()

    def _open(self) -> None:
        setup = self._setup
        if setup is not None:
            initializer, arguments = setup
            setup = make_picklable(initializer, arguments, check, what=ARGUMENT, forked=self._forks), arguments
        pool = WorkerPool(
            self.workers,
            self.start_method,
            TRANSPORTS[self.transport],
            self.threads,
            setup,
            self.max_tasks_per_worker,
            self.timeout,
        )
        try:
            pool.start_all()
        except BaseException:
            pool.kill(pool.workers)
            raise
        self._pool = pool

    def _close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def _prepare(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Callable[[Any], Any]:
        # Of warm workers' items it is found when they are sent.
        ready: Callable[[Any], Any] = make_picklable(
            function, () if self._entered else items, check, forked=self._forks
        )
        return ready

    def _open_stream(self, function: Callable[[Any], Any], idempotent: bool) -> TaskStream:
        return _ProcessStream(self, function, idempotent)

    def _map(self, function: Callable[[Any], Any], items: Sequence[Any], idempotent: bool) -> list[Any]:
        done = dict(stream_results(self._open_stream(function, idempotent), items))
        return [done[position] for position in range(len(items))]

    def _together(
        self, function: Callable[[Any], Any], items: Sequence[Any], idempotent: bool
    ) -> tuple[list[Any], float]:
        tries, futile = 1, 0
        while True:
            start = _SimultaneousStream(self, function, idempotent)
            try:
                outcomes = start.run(items)
                break
            except WorkerDied as death:
                begun = start.opened is not None
                tried = begun or death.timeout is not None
                spent = tries > self.retries or (begun and not idempotent) if tried else futile >= MAX_FAILED_STARTS
                if death.part is None or spent:
                    raise WorkerDied(death.part, death.exitcode, max(tries, death.tries), death.timeout) from None
            if tried:
                tries += 1
            else:
                futile += 1
        errors = {outcome.position: outcome.error for outcome in outcomes if outcome.error is not None}
        if errors:
            del outcomes
            raise errors.pop(min(errors))  # kept, it would keep itself alive, and this call's arrays
        done = {outcome.position: outcome.value for outcome in outcomes}
        assert start.opened is not None
        return [done[position] for position in range(len(items))], start.opened


class _ProcessStream(TaskStream):
    """One call's items on their way to the workers and back, until each has its answer."""

    def __init__(self, on: Processes, function: Callable[[Any], Any], idempotent: bool) -> None:
        assert on._pool is not None
        self.pool = on._pool
        self.packing = TRANSPORTS[on.transport].packing
        self.function = function
        self.retries = on.retries
        self.timeout = on.timeout
        self.idempotent = idempotent
        self.tries: Counter[int] = Counter()
        self.futile: Counter[int] = Counter()
        self.again: list[tuple[int, Any]] = []

    def __enter__(self) -> Self:
        self.pool.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is GeneratorExit:  # nobody asks for the rest any more
                self.pool.kill([worker for worker in self.pool.workers if worker.pending])
            elif kind is not None:
                self.pool.kill(self.pool.workers)
        finally:
            self.again.clear()
            self.pool.release()

    @property
    def has_capacity(self) -> bool:
        """Whether a worker has a thread free, and no item waits for it already."""
        return not self.again and self._free() is not None

    @property
    def busy(self) -> bool:
        """Whether any item has no answer."""
        return bool(self.again) or any(worker.pending for worker in self.pool.workers)

    def submit(self, position: int, item: Any) -> None:
        """Send an item to a free worker."""
        worker = self._free()
        assert worker is not None
        try:
            message, copies = dumps((self.function, item), self.packing)
        except Exception as error:  # an object's own __reduce__ may raise anything
            raise unpicklable(f"item {position}", item, error) from error
        hold = self._holds
        worker.pending[position] = PendingTask(item, copies, self._deadline(), started=not hold)
        worker.send(HOLD if hold else TASK, position, message)

    def poll(self) -> list[Outcome]:
        """What workers answer next; sees to those that have died, or take too long."""
        outcomes = []
        for worker, message in self.pool.poll(self._patience()):
            if message is None:
                lost = dict(worker.pending)
                exitcode = self.pool.remove(worker)
                for position, task in lost.items():
                    self._try_again(position, task, exitcode)
            elif outcome := self._heard(worker, message):
                outcomes.append(outcome)
                self.pool.task_done(worker)
        self._end_overdue()
        self.pool.start_missing()
        while self.again and self._free():
            self.submit(*heappop(self.again))
        return outcomes

    @property
    def _holds(self) -> bool:
        """Whether items wait for a word at the worker: where it matters whether one that died had begun its item."""
        return not self.idempotent or self.retries == 0

    def _arrived(self, worker: Worker, position: int) -> None:
        """Let an item begin that its worker holds."""
        task = worker.pending[position]
        task.started, task.deadline = True, self._deadline()
        worker.send(GO, position)

    def _free(self) -> Worker | None:
        able = [worker for worker in self.pool.workers if self.pool.can_take(worker)]
        return min(able, key=lambda worker: len(worker.pending), default=None)

    def _deadline(self) -> float | None:
        return None if self.timeout is None else monotonic() + self.timeout

    def _patience(self) -> float | None:
        if self.timeout is None:
            return None
        deadlines = [worker.deadline for worker in self.pool.workers if worker.deadline is not None]
        return seconds_until(min(deadlines, default=None))

    def _heard(self, worker: Worker, message: Received) -> Outcome | None:
        tag, position, payload = message
        if tag == READY:
            self._arrived(worker, position)
            return None
        try:
            value, _ = loads(payload)
        except Exception as error:  # noqa: BLE001 - a result's own __setstate__ may raise anything
            return Outcome(position, error=error)
        finally:
            del worker.pending[position]
        if tag == ERROR:
            raised, text = value
            raised.__cause__ = RemoteTraceback(text)
            return Outcome(position, error=raised)
        return Outcome(position, value)

    def _end_overdue(self) -> None:
        now = monotonic()
        for worker in list(self.pool.workers):
            lost = dict(worker.pending)
            late = {position for position, task in lost.items() if task.deadline is not None and task.deadline <= now}
            if late:
                worker.process.kill()
                exitcode = self.pool.remove(worker)
                for position, task in lost.items():
                    if position in late or (not self.idempotent and task.started):
                        self._try_again(position, task, exitcode, self.timeout)
                    else:  # only its neighbour was late
                        heappush(self.again, (position, task.item))

    def _try_again(self, position: int, task: PendingTask, exitcode: int | None, timeout: float | None = None) -> None:
        if task.started or timeout is not None:
            self.tries[position] += 1
            if self.tries[position] > self.retries or (not self.idempotent and task.started):
                raise WorkerDied(position, exitcode, self.tries[position], timeout)
        else:
            self.futile[position] += 1
            if self.futile[position] >= MAX_FAILED_STARTS:
                raise WorkerDied(position, exitcode, self.futile[position], timeout)
        heappush(self.again, (position, task.item))


class _SimultaneousStream(_ProcessStream):
    """One attempt of `together`: all items are held until the last has arrived; no worker may die meanwhile."""

    def __init__(self, on: Processes, function: Callable[[Any], Any], idempotent: bool) -> None:
        super().__init__(on, function, idempotent)
        self.arrived: list[tuple[Worker, int]] = []
        self.opened: float | None = None

    def run(self, items: Sequence[Any]) -> list[Outcome]:
        """The outcomes, in any order."""
        outcomes: list[Outcome] = []
        with self:
            self.pool.start_all()
            for position, item in enumerate(items):
                self.submit(position, item)
            while len(self.arrived) + len(outcomes) < len(items):
                outcomes += self.poll()
            self.opened = perf_counter()
            for worker, position in self.arrived:
                super()._arrived(worker, position)
            while self.busy:
                outcomes += self.poll()
        return outcomes

    @property
    def _holds(self) -> bool:
        return True

    def _try_again(
        self,
        position: int,
        task: PendingTask,  # noqa: ARG002
        exitcode: int | None,
        timeout: float | None = None,
    ) -> None:
        raise WorkerDied(position, exitcode, 1, timeout)

    def _arrived(self, worker: Worker, position: int) -> None:
        self.arrived.append((worker, position))
        worker.pending[position].deadline = None  # it is others that it waits for now


def _seconds(timeout: float | None) -> float | None:
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not hasattr(timeout, "__float__") or isinstance(timeout, str):
        raise TypeError(f"timeout must be a number of seconds, not {timeout!r}")
    if not float(timeout) > 0:
        raise ValueError(f"timeout must be more than 0 seconds, not {timeout!r}")
    return float(timeout)
