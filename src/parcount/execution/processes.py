"""Worker processes: each has an interpreter, and a GIL, of its own.

Written by hand where `concurrent.futures.ProcessPoolExecutor` would nearly do: that one ends for good when a worker
dies, tells neither which item the worker had nor how it ended, cannot start all workers at one instant, and sends
arrays through a pipe. This one has a channel for each worker and, but for that of queues, no helper threads.
"""

from __future__ import annotations

import math
import multiprocessing
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush
from time import monotonic, perf_counter
from types import TracebackType
from typing import Any, Self

from parcount.execution.base import Execution, check_initializer, integer
from parcount.execution.channels import ERROR, GO, HOLD, READY, TASK, Received
from parcount.execution.crew import STARTS, Crew, Given, Worker
from parcount.execution.errors import RemoteTraceback, WorkerDied
from parcount.execution.flow import Call, Outcome, flow
from parcount.execution.messages import check, dumps, loads
from parcount.execution.sendable import ARGUMENT, sendable, unsendable
from parcount.execution.transports import TRANSPORTS

LONGEST_WAIT = 3600.0
"""Seconds to wait at a time: the system takes no number of milliseconds beyond 31 bits."""


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
        Seconds that an item may take; a worker that takes longer is killed, which counts as its death. None by default.
    initializer : callable, optional
        What each process calls before its first item. What it raises ends the call, with the worker's traceback.
    initargs : tuple, optional
        With what.
    parts_per_worker : int, optional
        How many items a worker gets until another takes its place: for code that leaks.

    Raises
    ------
    TypeError
        If `workers`, `threads`, `retries` or `parts_per_worker` is no integer, `timeout` no number, or `initializer`
        not callable. From a call: if the function, an item or the initializer cannot be sent; says which, and why.
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
    `shared_array`, counted up in a `SharedCounter`, or did to the world outside, stays done: say ``once=True`` to the
    call where that makes a second try wrong.

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
    shares = 4

    def __init__(
        self,
        workers: int | None = None,
        *,
        threads: int = 1,
        start_method: str | None = None,
        transport: str = "pipe",
        retries: int = 2,
        timeout: float | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        parts_per_worker: int | None = None,
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
        self.parts_per_worker = None if parts_per_worker is None else integer("parts_per_worker", parts_per_worker)
        self._crew: Crew | None = None

    def __repr__(self) -> str:
        threads = f", threads={self.threads}" if self.threads > 1 else ""
        return f"Processes({self.workers}{threads}, start_method={self.start_method!r}, transport={self.transport!r})"

    @property
    def slots(self) -> int:
        """How many items can run at once: as many as all processes have threads."""
        return self.workers * self.threads

    @property
    def _forks(self) -> bool:
        return self.start_method == "fork"

    def pids(self) -> list[int]:
        """The workers' process ids."""
        crew = self._crew
        return [] if crew is None else crew.pids()

    def _open(self) -> None:
        setup = self._setup
        if setup is not None:
            initializer, arguments = setup
            setup = sendable(initializer, arguments, check, what=ARGUMENT, forked=self._forks), arguments
        crew = Crew(
            self.workers,
            self.start_method,
            TRANSPORTS[self.transport],
            self.threads,
            setup,
            self.parts_per_worker,
        )
        try:
            crew.gather()
        except BaseException:
            crew.end(crew.members)
            raise
        self._crew = crew

    def _close(self) -> None:
        crew, self._crew = self._crew, None
        if crew is not None:
            crew.close()

    def _sendable(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Callable[[Any], Any]:
        # Of warm workers' items it is found when they are sent.
        ready: Callable[[Any], Any] = sendable(function, () if self._held else items, check, forked=self._forks)
        return ready

    def _call(self, function: Callable[[Any], Any], once: bool) -> Call:
        return _Call(self, function, once)

    def _map(self, function: Callable[[Any], Any], items: Sequence[Any], once: bool) -> list[Any]:
        done = dict(flow(self._call(function, once), items))
        return [done[position] for position in range(len(items))]

    def _together(self, function: Callable[[Any], Any], items: Sequence[Any], once: bool) -> tuple[list[Any], float]:
        tries, futile = 1, 0
        while True:
            start = _Start(self, function, once)
            try:
                outcomes = start.run(items)
                break
            except WorkerDied as death:
                begun = start.opened is not None
                tried = begun or death.timeout is not None
                spent = tries > self.retries or (once and begun) if tried else futile >= STARTS
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


class _Call(Call):
    """One call's items on their way to the workers and back, until each has its answer."""

    def __init__(self, on: Processes, function: Callable[[Any], Any], once: bool) -> None:
        assert on._crew is not None
        self.crew = on._crew
        self.packing = TRANSPORTS[on.transport].packing
        self.function = function
        self.retries = on.retries
        self.timeout = on.timeout
        self.once = once
        self.tries: Counter[int] = Counter()
        self.futile: Counter[int] = Counter()
        self.again: list[tuple[int, Any]] = []

    def __enter__(self) -> Self:
        self.crew.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is GeneratorExit:  # nobody asks for the rest any more
                self.crew.end([worker for worker in self.crew.members if worker.parts])
            elif kind is not None:
                self.crew.end(self.crew.members)
        finally:
            self.again.clear()
            self.crew.leave()

    @property
    def room(self) -> bool:
        """Whether a worker has a thread free, and no item waits for it already."""
        return not self.again and self._free() is not None

    @property
    def busy(self) -> bool:
        """Whether any item has no answer."""
        return bool(self.again) or any(worker.parts for worker in self.crew.members)

    def give(self, position: int, item: Any) -> None:
        """Send an item to a free worker."""
        worker = self._free()
        assert worker is not None
        try:
            message, copies = dumps((self.function, item), self.packing)
        except Exception as error:  # an object's own __reduce__ may raise anything
            raise unsendable(f"item {position}", item, error) from error
        hold = self._holds
        worker.parts[position] = Given(item, copies, self._deadline(), begun=not hold)
        worker.send(HOLD if hold else TASK, position, message)

    def take(self) -> list[Outcome]:
        """What workers answer next; sees to those that have died, or take too long."""
        outcomes = []
        for worker, message in self.crew.listen(self._patience()):
            if message is None:
                lost = dict(worker.parts)
                exitcode = self.crew.remove(worker)
                for position, given in lost.items():
                    self._try_again(position, given, exitcode)
            elif outcome := self._heard(worker, message):
                outcomes.append(outcome)
                self.crew.retire(worker)
        self._end_overdue()
        self.crew.fill()
        while self.again and self._free():
            self.give(*heappop(self.again))
        return outcomes

    @property
    def _holds(self) -> bool:
        """Whether items wait for a word at the worker: where it matters whether one that died had begun its item."""
        return self.once or self.retries == 0

    def _arrived(self, worker: Worker, position: int) -> None:
        """Let an item begin that its worker holds."""
        given = worker.parts[position]
        given.begun, given.deadline = True, self._deadline()
        worker.send(GO, position)

    def _free(self) -> Worker | None:
        able = [worker for worker in self.crew.members if self.crew.takes(worker)]
        return min(able, key=lambda worker: len(worker.parts), default=None)

    def _deadline(self) -> float | None:
        return None if self.timeout is None else monotonic() + self.timeout

    def _patience(self) -> float | None:
        if self.timeout is None:
            return None
        deadlines = [given.deadline for worker in self.crew.members for given in worker.parts.values()]
        first = min((deadline for deadline in deadlines if deadline is not None), default=math.inf)
        return min(max(0.0, first - monotonic()), LONGEST_WAIT)

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
            del worker.parts[position]
        if tag == ERROR:
            raised, text = value
            raised.__cause__ = RemoteTraceback(text)
            return Outcome(position, error=raised)
        return Outcome(position, value)

    def _end_overdue(self) -> None:
        now = monotonic()
        for worker in list(self.crew.members):
            lost = dict(worker.parts)
            late = {
                position for position, given in lost.items() if given.deadline is not None and given.deadline <= now
            }
            if late:
                worker.process.kill()
                exitcode = self.crew.remove(worker)
                for position, given in lost.items():
                    if position in late or (self.once and given.begun):
                        self._try_again(position, given, exitcode, self.timeout)
                    else:  # only its neighbour was late
                        heappush(self.again, (position, given.item))

    def _try_again(self, position: int, given: Given, exitcode: int | None, timeout: float | None = None) -> None:
        if given.begun or timeout is not None:
            self.tries[position] += 1
            if self.tries[position] > self.retries or (self.once and given.begun):
                raise WorkerDied(position, exitcode, self.tries[position], timeout)
        else:
            self.futile[position] += 1
            if self.futile[position] >= STARTS:
                raise WorkerDied(position, exitcode, self.futile[position], timeout)
        heappush(self.again, (position, given.item))


class _Start(_Call):
    """One attempt of `together`: all items are held until the last has arrived; no worker may die meanwhile."""

    def __init__(self, on: Processes, function: Callable[[Any], Any], once: bool) -> None:
        super().__init__(on, function, once)
        self.arrived: list[tuple[Worker, int]] = []
        self.opened: float | None = None

    def run(self, items: Sequence[Any]) -> list[Outcome]:
        """The outcomes, in any order."""
        outcomes: list[Outcome] = []
        with self:
            self.crew.gather()
            for position, item in enumerate(items):
                self.give(position, item)
            while len(self.arrived) + len(outcomes) < len(items):
                outcomes += self.take()
            self.opened = perf_counter()
            for worker, position in self.arrived:
                super()._arrived(worker, position)
            while self.busy:
                outcomes += self.take()
        return outcomes

    @property
    def _holds(self) -> bool:
        return True

    def _try_again(
        self,
        position: int,
        given: Given,  # noqa: ARG002
        exitcode: int | None,
        timeout: float | None = None,
    ) -> None:
        raise WorkerDied(position, exitcode, 1, timeout)

    def _arrived(self, worker: Worker, position: int) -> None:
        self.arrived.append((worker, position))
        worker.parts[position].deadline = None  # it is others that it waits for now


def _seconds(timeout: float | None) -> float | None:
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not hasattr(timeout, "__float__") or isinstance(timeout, str):
        raise TypeError(f"timeout must be a number of seconds, not {timeout!r}")
    if not float(timeout) > 0:
        raise ValueError(f"timeout must be more than 0 seconds, not {timeout!r}")
    return float(timeout)
