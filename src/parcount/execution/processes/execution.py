"""The execution `Processes`: worker processes, each with its own interpreter and GIL.

`concurrent.futures.ProcessPoolExecutor` is not used because it breaks when a worker dies, does not report which item
the worker had nor its exit code, cannot start all items at the same time, and copies arrays through a pipe. Here each
worker has its own channel, and only the transport ``"queue"`` needs helper threads.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from functools import partial
from heapq import heappop, heappush
from itertools import count
from time import monotonic, perf_counter
from typing import Any, Literal, Self

from parcount.execution.base import Execution, check_initializer, integer
from parcount.execution.chunks import ChunkSize, apply_to_each
from parcount.execution.errors import RemoteTraceback, WorkerDied
from parcount.execution.pickling import make_picklable, prepare_initializer, unpicklable
from parcount.execution.processes.channel import ERROR, GO, HOLD, READY, TASK, Received
from parcount.execution.processes.serialisation import Message, check, dumps, loads
from parcount.execution.processes.supervisor import MAX_FAILED_STARTS, PendingTask, Worker, WorkerPool
from parcount.execution.processes.transports import TRANSPORTS, TransportName
from parcount.execution.stream import Function, Outcome, TaskStream, stream_results

StartMethod = Literal["fork", "forkserver", "spawn"]


class Processes(Execution):
    """`workers` processes on this machine, with `threads` threads each.

    The function and the items must be picklable. Functions that pickle refuses (lambdas, nested functions) are sent by
    cloudpickle if it is installed. An array made by `shared_array`, or a slice of one, is sent by name, without a copy;
    an array over a memory-mapped file is sent as the file's name and an offset; other arrays are sent by `transport`.

    A worker that dies is replaced, and its item is run again by another worker, up to `retries` times. An exception in
    the function is not retried: it ends the call after the items that have been started. `WorkerDied` and an
    interruption of the caller, such as Ctrl-C, end all workers; inside a ``with`` block the next call starts new ones.

    Inside a ``with`` block, calls from several threads run one after another.

    Parameters
    ----------
    workers : int, optional
        The number of processes; all available cores by default.
    threads : int, optional
        The number of items that each process runs at the same time, in its own threads.
    start_method : {"forkserver", "spawn", "fork"}, optional
        The start method; ``"forkserver"`` on Linux and ``"spawn"`` elsewhere by default. A fork of a process with
        several threads can deadlock on a lock that one of them held.
    transport : {"pipe", "shared_memory", "queue", "pickle"}, optional
        How arrays in items and results are sent. ``"pipe"`` writes them to the worker's pipe from their own memory,
        without pickling them. ``"shared_memory"`` copies large ones once, into a new shared memory block. ``"pickle"``
        pickles them into the message, with a copy on either side. ``"queue"`` does so through a
        `multiprocessing.Queue`, whose thread sends while the caller goes on. ``parcount study transports`` measures
        which is fastest.
    retries : int, optional
        How often an item is run again after its worker died. A call of `together` is repeated as a whole, on new
        workers.
    timeout : float, optional
        Seconds that an item may take, including its transfer, and that the initializer may take. A worker that takes
        longer is killed, which counts as its death. No limit by default. On Windows the limit does not hold while an
        array is being sent or received.
    initializer : callable, optional
        Called in each process before its first item. An exception in it ends the call.
    initargs : tuple, optional
        The arguments of the initializer.
    max_tasks_per_worker : int, optional
        The number of items after which a worker is replaced, for functions that leak memory.

    Raises
    ------
    TypeError
        If `workers`, `threads`, `retries` or `max_tasks_per_worker` is not an integer, `timeout` is not a number, or
        `initializer` is not callable. From a call: if the function, an item or the initializer cannot be pickled; the
        message says which, and why.
    ValueError
        If `start_method` or `transport` is unknown here, `retries` is negative, or `timeout` is not positive.
    OSError
        From a call: if the system cannot start that many processes.
    WorkerDied
        From a call: if an item has no retries left; the message names the item and how its last worker ended.
    RuntimeError
        From a call: if `start_method` is ``"fork"`` and this process runs other threads, whose locks could deadlock
        the child, or has run a GNU OpenMP region, which a forked child cannot enter again; or if this process is a
        fork of the one that started the workers.

    Notes
    -----
    A retried item is sent again in its current state. Side effects of the first try, such as writes to a
    `shared_array` or additions to a `SharedCounter`, remain: pass ``idempotent=False`` where a second try would be
    wrong.

    The thread pools of BLAS, OpenMP and Numba inside a worker are limited to its share of the cores, unless their
    environment variables (``OMP_NUM_THREADS`` and others) are set. A BLAS that is loaded before the worker's first
    item, such as NumPy's, needs threadpoolctl for that, which is in the extra ``study``. The caller's are unchanged.

    Workers end when the caller has ended, in whatever way; on Linux they are killed immediately.

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
        self._initializer = initializer
        self._initargs = tuple(initargs)
        self.max_tasks_per_worker = (
            None if max_tasks_per_worker is None else integer("max_tasks_per_worker", max_tasks_per_worker)
        )
        self._pool: WorkerPool | None = None

    def __repr__(self) -> str:
        threads = f", threads={self.threads}" if self.threads > 1 else ""
        return f"Processes({self.workers}{threads}, start_method={self.start_method!r}, transport={self.transport!r})"

    @property
    def concurrency(self) -> int:
        """The number of items that can run at the same time: ``workers * threads``."""
        return self.workers * self.threads

    @property
    def _forks(self) -> bool:
        return self.start_method == "fork"

    def pids(self) -> list[int]:
        """The workers' process ids."""
        pool = self._pool
        return [] if pool is None else pool.pids()

    def _open(self) -> None:
        setup = self._initializer and prepare_initializer(self._initializer, self._initargs, check, forked=self._forks)
        transport, max_tasks = TRANSPORTS[self.transport], self.max_tasks_per_worker
        pool = WorkerPool(self.workers, self.start_method, transport, self.threads, setup, max_tasks, self.timeout)
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

    def _prepare(self, function: Function, items: Iterable[Any]) -> Function:
        # Items for running workers are checked when they are sent.
        ready: Function = make_picklable(function, () if self._entered else items, check, forked=self._forks)
        return ready

    def _open_stream(self, function: Function, idempotent: bool) -> TaskStream:
        return _ProcessStream(self, function, idempotent)

    def _map(
        self,
        function: Function,
        items: Sequence[Any],
        idempotent: bool,
        progress: Callable[[int, int], object] | None,
        chunksize: int | None,
    ) -> list[Any]:
        alone = not idempotent or self.retries == 0 or self.max_tasks_per_worker is not None
        if alone or chunksize == 1 or len(items) <= self.concurrency:
            return super()._map(function, items, idempotent, progress, chunksize)
        sizes = ChunkSize(chunksize, self.concurrency)
        done: dict[int, list[Any]] = {}
        total = 0
        with closing(stream_results(_ChunkStream(self, function, sizes), sizes.chunks(items))) as results:
            for position, values in results:
                done[position] = values
                if progress is not None:
                    for _ in values:
                        total += 1
                        progress(total, len(items))
        return [value for position in range(len(done)) for value in done[position]]

    def _together(self, function: Function, items: Sequence[Any], idempotent: bool) -> tuple[list[Any], float]:
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
            raise errors.pop(min(errors))  # a reference here would form a cycle that keeps the call's arrays
        done = {outcome.position: outcome.value for outcome in outcomes}
        assert start.opened is not None
        return [done[position] for position in range(len(items))], start.opened


class _ProcessStream(TaskStream):
    """The items of one call."""

    def __init__(self, on: Processes, function: Function, idempotent: bool) -> None:
        assert on._pool is not None
        self.pool = on._pool
        self.packing = TRANSPORTS[on.transport].packing
        self.function = function
        self.retries = on.retries
        self.idempotent = idempotent
        self.tries: Counter[int] = Counter()
        self.futile: Counter[int] = Counter()
        self.again: list[tuple[int, Any]] = []

    def __enter__(self) -> Self:
        self.pool.acquire()
        return self

    def close(self, error: BaseException | None) -> None:
        """Kill the workers that have an item if the generator is closed, all after an exception."""
        try:
            if isinstance(error, GeneratorExit):
                self.pool.kill([worker for worker in self.pool.workers if worker.pending])
            elif error is not None:
                self.pool.kill(self.pool.workers)
        finally:
            self.again.clear()
            self.pool.release()

    @property
    def has_capacity(self) -> bool:
        """Whether a worker has a free thread, and no item waits to be tried again."""
        return not self.again and self._free() is not None

    @property
    def busy(self) -> bool:
        """Whether submitted items have no outcome yet."""
        return bool(self.again) or any(worker.pending for worker in self.pool.workers)

    def submit(self, position: int, item: Any) -> None:
        """Send an item to a free worker."""
        try:
            message, copies = dumps((self.function, item), self.packing)
        except Exception as error:  # an object's own __reduce__ may raise anything
            raise unpicklable(f"item {position}", item, error) from error
        self._send(position, PendingTask(item, copies, self.pool.deadline(), started=not self._holds), message)

    def _send(self, position: int, task: PendingTask, message: Message) -> None:
        worker = self._free()
        assert worker is not None
        worker.pending[position] = task
        worker.send(TASK if task.started else HOLD, position, message)

    def poll(self) -> list[Outcome]:
        """Wait for an event and return the new outcomes; replace workers that have died or exceed a deadline."""
        outcomes = []
        for worker, message in self.pool.poll():
            if message is None:
                lost = dict(worker.pending)
                exitcode = self.pool.remove(worker)
                for position, task in lost.items():
                    self._try_again(position, task, exitcode)
            elif (outcome := self._handle(worker, message)) is not None:
                outcomes += self._collect(outcome)
                self.pool.task_done(worker)
        self._end_overdue()
        self.pool.start_missing()
        while self.again and self._free():
            self.submit(*heappop(self.again))
        return outcomes

    @property
    def _holds(self) -> bool:
        """Whether items wait for go at the worker, so that it is known whether a worker that died had begun one."""
        return not self.idempotent or self.retries == 0

    def _arrived(self, worker: Worker, position: int) -> None:
        """Start an item that its worker holds."""
        task = worker.pending[position]
        task.started, task.deadline = True, self.pool.deadline()
        worker.send(GO, position)

    def _free(self) -> Worker | None:
        able = [worker for worker in self.pool.workers if self.pool.can_take(worker)]
        return min(able, key=lambda worker: len(worker.pending), default=None)

    def _handle(self, worker: Worker, message: Received) -> Outcome | None:
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

    def _collect(self, outcome: Outcome) -> list[Outcome]:
        """Return the outcomes of items of the call that follow from the outcome of a task."""
        return [outcome]

    def _end_overdue(self) -> None:
        if self.pool.timeout is None:
            return
        for worker in list(self.pool.workers):
            if late := worker.late():
                lost = dict(worker.pending)
                worker.process.kill()
                exitcode = self.pool.remove(worker)
                for position, task in lost.items():
                    if position in late or (not self.idempotent and task.started):
                        self._try_again(position, task, exitcode, self.pool.timeout)
                    else:  # another item of the worker was late
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

    def __init__(self, on: Processes, function: Function, idempotent: bool) -> None:
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

    def _try_again(self, position: int, task: PendingTask, exitcode: int | None, timeout: float | None = None) -> None:
        raise WorkerDied(position, exitcode, 1, timeout)

    def _arrived(self, worker: Worker, position: int) -> None:
        self.arrived.append((worker, position))
        worker.pending[position].deadline = None  # it waits for the others now


class _ChunkStream(_ProcessStream):
    """The items of one call in chunks: pairs of the position of the first item and a list of items.

    The items of a chunk whose worker died are tried again one by one, so that the guilty one is known.
    """

    def __init__(self, on: Processes, function: Function, sizes: ChunkSize) -> None:
        super().__init__(on, function, idempotent=True)
        self.each = partial(apply_to_each, function)
        self.sizes = sizes
        self.sent: dict[int, tuple[float, int, int]] = {}  # when, how many items, and bytes
        self.ids = count(1 << 40)  # of tasks that are single items, beyond any number of chunks
        self.singles: dict[int, tuple[int, int, int]] = {}
        self.split: dict[int, list[Outcome | None]] = {}

    def submit(self, position: int, item: Any) -> None:
        """Send a chunk, or a single item of one, to a free worker."""
        if position in self.singles:
            super().submit(position, item)
            return
        start, items = item
        try:
            message, copies = dumps((self.each, items), self.packing)
        except Exception as error:  # an object's own __reduce__ may raise anything
            raise self._guilty(start, items, error) from error
        deadline = None if self.pool.timeout is None else monotonic() + len(items) * self.pool.timeout
        self.sent[position] = perf_counter(), len(items), message.nbytes
        self._send(position, PendingTask(item, copies, deadline, started=True), message)

    def _guilty(self, start: int, items: Sequence[Any], error: Exception) -> Exception:
        """Return the exception that names the item of a chunk that cannot be pickled."""
        for position, item in enumerate(items, start):
            try:
                check(item)
            except Exception as its:  # noqa: BLE001 - as above
                return unpicklable(f"item {position}", item, its)
        return error

    def _collect(self, outcome: Outcome) -> list[Outcome]:
        if outcome.position not in self.singles:
            began, items, size = self.sent.pop(outcome.position)
            self.sizes.adjust(items, perf_counter() - began, size)
            return [outcome]
        chunk, offset, _ = self.singles.pop(outcome.position)
        parts = self.split[chunk]
        parts[offset] = outcome
        if None in parts:
            return []
        del self.split[chunk]
        whole = [part for part in parts if part is not None]
        failed = next((part.error for part in whole if part.error is not None), None)
        return [Outcome(chunk, [part.value for part in whole], failed)]

    def _try_again(self, position: int, task: PendingTask, exitcode: int | None, timeout: float | None = None) -> None:
        if position in self.singles:
            try:
                super()._try_again(position, task, exitcode, timeout)
            except WorkerDied as death:
                raise WorkerDied(self.singles[position][2], exitcode, death.tries, timeout) from None
            return
        start, items = task.item
        self.split[position] = [None] * len(items)
        for offset, item in enumerate(items):
            single = next(self.ids)
            self.singles[single] = position, offset, start + offset
            self.tries[single] = 1  # as part of the chunk: which item ended the worker is not known
            heappush(self.again, (single, item))


def _seconds(timeout: float | None) -> float | None:
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not hasattr(timeout, "__float__") or isinstance(timeout, str):
        raise TypeError(f"timeout must be a number of seconds, not {timeout!r}")
    if not float(timeout) > 0:
        raise ValueError(f"timeout must be more than 0 seconds, not {timeout!r}")
    return float(timeout)
