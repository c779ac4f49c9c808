"""The execution `Processes`: worker processes, each with its own interpreter and GIL.

`concurrent.futures.ProcessPoolExecutor` is not used because it breaks when a worker dies, does not report which item
the worker had nor its exit code, cannot start all items at the same time, and copies arrays through a pipe. Here each
worker has its own channel, and only the transport ``"queue"`` needs helper threads.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from itertools import count
from typing import Any, Literal, get_args

from parcount.execution.arguments import check_callable, integer
from parcount.execution.base import Close, Execution, Submitted
from parcount.execution.chunks import ChunkSize, split
from parcount.execution.errors import WorkerDied
from parcount.execution.pickling import make_picklable, prepare_initializer
from parcount.execution.processes.dispatcher import Dispatcher
from parcount.execution.processes.serialisation import Checker
from parcount.execution.processes.streams import ChunkStream, ProcessStream, SimultaneousStream
from parcount.execution.processes.supervisor import MAX_FAILED_STARTS, WorkerPool
from parcount.execution.processes.transports import TRANSPORTS, TransportName
from parcount.execution.stream import Function, TaskStream, stream_results

StartMethod = Literal["fork", "forkserver", "spawn"]


class Processes(Execution):
    """`workers` processes on this machine, with `threads` threads each.

    The function, the items and the results must be picklable. Functions and classes that workers cannot import
    (lambdas, nested ones, those of a notebook) are sent by value if cloudpickle is installed; an instance that returns
    is one of the caller's class. An array made by `shared_array`, or a slice of one, is sent by name, without a copy;
    an array over a memory-mapped file is sent as the file's name and an offset; other arrays are sent by `transport`.

    A worker that dies is replaced, and its item is run again by another worker, up to `retries` times. An exception in
    the function is not retried: it ends the call after the items that have been started. `WorkerDied` and an
    interruption of the caller, such as Ctrl-C, end all workers; inside a ``with`` block the next call starts new ones.

    Inside a ``with`` block, calls of `map`, `imap` and `together` from several threads run one after another. Submitted
    calls run side by side, and take turns with the others.

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
        How often an item or a submitted call is run again after its worker died. A call of `together` is repeated as
        a whole, on new workers.
    timeout : float, optional
        Seconds that an item may take, including its transfer, and that the initializer may take. A worker that takes
        longer is killed, which counts as its death. No limit by default. On Windows the limit does not hold while an
        array is being sent or received.
    initializer : callable, optional
        Called in each process before its first item. An exception in it ends the call, or all submitted calls.
    initargs : tuple, optional
        The arguments of the initializer.
    max_tasks_per_worker : int, optional
        The number of items after which a worker is replaced, for functions that leak memory.

    Raises
    ------
    TypeError
        If `workers`, `threads`, `retries` or `max_tasks_per_worker` is not an integer, `timeout` is not a number, or
        `initializer` is not callable. From a call: if the function, an item, a result or the initializer cannot be
        pickled; the message names the object in it that cannot, its place, and why.
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
    wrong, or ``retries=0`` for submitted calls.

    A worker's share of the cores is ``available_cores() // (workers * threads)``, at least one, for each of its
    threads. It is the number of cores that the package's calls in the worker use by default. The thread pools of BLAS,
    OpenMP and Numba inside a worker are limited to it too, unless their environment variables (``OMP_NUM_THREADS`` and
    others) are set. A BLAS that is loaded before the worker's first
    item, such as NumPy's, needs threadpoolctl for that, which is in the extra ``study``. The caller's are unchanged.

    Workers end when the caller has ended, in whatever way; on Linux they are killed immediately. The caller may be a
    daemonic process, or a forked child: the child does not use the workers of its parent, but starts its own.

    With the start method ``"fork"``, a thread receives the results of submitted calls, and cannot fork: workers that
    die meanwhile are not replaced before the next call.

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
        # Other libraries add methods of their own, which do not start every kind of worker.
        methods = [method for method in multiprocessing.get_all_start_methods() if method in get_args(StartMethod)]
        if start_method not in methods:
            raise ValueError(f"start_method must be one of {', '.join(methods)} here, not {start_method!r}")
        if transport not in TRANSPORTS:
            raise ValueError(f"transport must be one of {', '.join(TRANSPORTS)}, not {transport!r}")
        self.threads = integer("threads", threads)
        self.start_method = start_method
        self.transport = transport
        self.retries = integer("retries", retries, least=0)
        self.timeout = _seconds(timeout)
        if initializer is not None:
            check_callable(initializer, "initializer")
        self._initializer = initializer
        self._initargs = tuple(initargs)
        self.max_tasks_per_worker = (
            None if max_tasks_per_worker is None else integer("max_tasks_per_worker", max_tasks_per_worker)
        )
        self._pool: WorkerPool | None = None
        self._dispatcher: Dispatcher | None = None

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
        setup = None
        if self._initializer is not None:
            setup = prepare_initializer(self._initializer, self._initargs, Checker, forked=self._forks)
        transport, max_tasks = TRANSPORTS[self.transport], self.max_tasks_per_worker
        pool = WorkerPool(self.workers, self.start_method, transport, self.threads, setup, max_tasks, self.timeout)
        try:
            pool.start_all()
        except BaseException:
            pool.kill(pool.workers)
            raise
        self._pool = pool

    def _unfinished(self) -> list[Future[Any]]:
        return [] if self._dispatcher is None else self._dispatcher.unfinished()

    def _detach(self) -> Close:
        dispatcher, pool = self._dispatcher, self._pool
        self._dispatcher = self._pool = None

        def close() -> None:
            try:
                if dispatcher is not None:
                    dispatcher.close()
            finally:
                if pool is not None:
                    pool.close()

        return close

    def _prepare(self, function: Function, items: Iterable[Any]) -> Function:
        # Items for running workers are checked when they are sent.
        ready: Function = make_picklable(function, () if self._entered else items, Checker, forked=self._forks)
        return ready

    def _submit_call(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Submitted:
        self._check_open()  # before the lock: the thread that ends the block has it, and waits for callbacks
        dispatcher = self._dispatcher
        if dispatcher is None:
            with self._entrance:
                self._check_open()
                dispatcher = self._dispatcher = self._dispatcher or Dispatcher(self)
        return dispatcher.submit((function, args, kwargs))

    def _open_stream(self, function: Function, idempotent: bool) -> TaskStream:
        return ProcessStream(self, function, idempotent)

    def _map(
        self,
        function: Function,
        items: Sequence[Any],
        idempotent: bool,
        progress: Callable[[int, int], object] | None,
        chunksize: int | None,
    ) -> list[Any]:
        if chunksize == 1 or len(items) <= self.concurrency or not self._may_chunk(idempotent):
            return super()._map(function, items, idempotent, progress, chunksize)
        sizes = ChunkSize(chunksize, self.concurrency)
        done: dict[int, list[Any]] = {}
        total = 0
        with closing(stream_results(ChunkStream(self, function, sizes), sizes.chunks(items))) as results:
            for position, values in results:
                done[position] = values
                if progress is not None:
                    for _ in values:
                        total += 1
                        progress(total, len(items))
        return [value for position in range(len(done)) for value in done[position]]

    def _results(
        self, function: Function, items: Iterator[Any], idempotent: bool, chunksize: int, ordered: bool
    ) -> Generator[Any, None, None]:
        if chunksize == 1 or not self._may_chunk(idempotent):
            yield from super()._results(function, items, idempotent, chunksize, ordered)
            return
        stream = ChunkStream(self, function, ChunkSize(chunksize, self.concurrency))
        chunks = zip(count(0, chunksize), split(items, chunksize), strict=False)
        with closing(stream_results(stream, chunks, ordered=ordered, max_ahead=self._max_ahead)) as results:
            for _, values in results:
                yield from values

    def _may_chunk(self, idempotent: bool) -> bool:
        """Whether several items may travel together: they are run again if the worker of one of them dies."""
        return idempotent and self.retries > 0 and self.max_tasks_per_worker is None

    def _together(self, function: Function, items: Sequence[Any], idempotent: bool) -> tuple[list[Any], float]:
        tries, futile = 1, 0
        while True:
            start = SimultaneousStream(self, function, idempotent)
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


def _seconds(timeout: float | None) -> float | None:
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not hasattr(timeout, "__float__") or isinstance(timeout, str):
        raise TypeError(f"timeout must be a number of seconds, not {timeout!r}")
    if not float(timeout) > 0:
        raise ValueError(f"timeout must be more than 0 seconds, not {timeout!r}")
    return float(timeout)
