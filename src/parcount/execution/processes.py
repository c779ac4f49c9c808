"""Worker processes: each has an interpreter, and a GIL, of its own.

Written by hand where `concurrent.futures.ProcessPoolExecutor` would nearly do: that one ends for good when a worker
dies, tells neither which item the worker had nor how it ended, cannot start all workers at one instant, and sends
arrays through a pipe. This one has a pipe a worker and no helper threads.
"""

from __future__ import annotations

import math
import multiprocessing
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from time import monotonic, perf_counter
from types import TracebackType
from typing import Any, Self

from parcount.execution import shared
from parcount.execution.base import Execution, check_initializer, integer
from parcount.execution.crew import Crew, Given, Worker
from parcount.execution.errors import RemoteTraceback, WorkerDied
from parcount.execution.flow import Call, Outcome, flow
from parcount.execution.worker import ERROR, GO, HOLD, READY, TASK, pack, unpack

LONGEST_WAIT = 3600.0
"""Seconds to wait at a time: the system takes no number of milliseconds beyond 31 bits."""


class Processes(Execution):
    """`workers` processes on this machine.

    The function and the items must pickle. Large arrays among them, and in the results, cross by shared memory: an
    array made by `shared_array`, or a slice of one, without any copy; any other with one.

    A worker that dies, whatever has killed it, is replaced, and its item tried again by another, `retries` times. An
    exception of the function's is none of that: it ends the call once the items already begun are done. `WorkerDied`,
    and any interruption of the caller (Ctrl-C too), ends all workers; inside a ``with`` the next call starts new ones.

    Inside a ``with``, calls from several threads take turns.

    Parameters
    ----------
    workers : int, optional
        How many processes; all available cores by default.
    start_method : {"forkserver", "spawn", "fork"}, optional
        How they start. By default ``"forkserver"`` on Linux and ``"spawn"`` elsewhere: a forked copy of a process
        that runs threads can hang on a lock that one of them held.
    retries : int, optional
        How many more workers get an item if the one that has it dies. That holds for `together` as a whole: there all
        items begin again, on new workers.
    timeout : float, optional
        Seconds that an item may take; a worker that takes longer is killed, which counts as its death. None by default.
    initializer : callable, optional
        What each worker calls before its first item. What it raises ends the call, with the worker's traceback.
    initargs : tuple, optional
        With what.
    parts_per_worker : int, optional
        How many items a worker gets until another takes its place: for code that leaks.

    Raises
    ------
    TypeError
        If `workers`, `retries` or `parts_per_worker` is no integer, `timeout` no number, or `initializer` not callable.
    ValueError
        If the platform lacks `start_method`, `retries` is negative, or `timeout` is not positive.
    WorkerDied
        From a call: if the retries of an item have run out; names the item, and how the last worker died.
    RuntimeError
        From a call: if `start_method` is ``"fork"`` and this process has run a GNU OpenMP region, which no
        forked child survives entering again.

    Notes
    -----
    An item that is tried again is sent again as it is at the caller. What its first worker wrote into arrays of
    `shared_array`, counted up in a `SharedCounter`, or did to the world outside, stays done: say ``once=True`` to the
    call where that makes a second try wrong.

    Examples
    --------
    >>> import parcount as pc
    >>> with pc.Processes(2) as processes:  # doctest: +SKIP
    ...     processes.map(abs, [-1, -2, 3])
    [1, 2, 3]
    """

    name = "processes"

    def __init__(
        self,
        workers: int | None = None,
        *,
        start_method: str | None = None,
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
        self.start_method = start_method
        self.retries = integer("retries", retries, least=0)
        self.timeout = _seconds(timeout)
        check_initializer(initializer)
        self._setup = None if initializer is None else (initializer, tuple(initargs))
        self.parts_per_worker = None if parts_per_worker is None else integer("parts_per_worker", parts_per_worker)
        self._crew: Crew | None = None

    def __repr__(self) -> str:
        return f"Processes({self.workers}, start_method={self.start_method!r})"

    def pids(self) -> list[int]:
        """The workers' process ids."""
        crew = self._crew
        return [] if crew is None else crew.pids()

    def _open(self) -> None:
        crew = Crew(self.workers, self.start_method, self._setup, self.parts_per_worker)
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

    def _call(self, function: Callable[[Any], Any], once: bool) -> Call:
        return _Call(self, function, once)

    def _map(self, function: Callable[[Any], Any], items: Sequence[Any], once: bool) -> list[Any]:
        done = dict(flow(self._call(function, once), items))
        return [done[position] for position in range(len(items))]

    def _together(self, function: Callable[[Any], Any], items: Sequence[Any], once: bool) -> tuple[list[Any], float]:
        tries = 1
        while True:
            start = _Start(self, function, once)
            try:
                outcomes = start.run(items)
                break
            except WorkerDied as death:
                if death.part is None or tries > self.retries or (once and start.opened is not None):
                    raise WorkerDied(death.part, death.exitcode, max(tries, death.tries), death.timeout) from None
            tries += 1
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
        self.function = function
        self.retries = on.retries
        self.timeout = on.timeout
        self.once = once
        self.tries: Counter[int] = Counter()
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
        """Whether a worker is free, and no item waits for it already."""
        return not self.again and self._free() is not None

    @property
    def busy(self) -> bool:
        """Whether any item has no answer."""
        return bool(self.again) or any(worker.parts for worker in self.crew.members)

    def give(self, position: int, item: Any) -> None:
        """Send an item to a free worker."""
        worker = self._free()
        assert worker is not None
        message, copies = shared.dumps((self.function, item))
        hold = self._holds
        worker.parts[position] = Given(item, copies, self._deadline(), begun=not hold)
        worker.send(pack(HOLD if hold else TASK, position, message))

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
        """Whether items wait for a word at the worker: one that must not begin twice begins when it has arrived."""
        return self.once

    def _arrived(self, worker: Worker, position: int) -> None:
        """Let an item begin that its worker holds."""
        given = worker.parts[position]
        given.begun, given.deadline = True, self._deadline()
        worker.send(pack(GO, position))

    def _free(self) -> Worker | None:
        return next((worker for worker in self.crew.members if worker.ready and not worker.parts), None)

    def _deadline(self) -> float | None:
        return None if self.timeout is None else monotonic() + self.timeout

    def _patience(self) -> float | None:
        if self.timeout is None:
            return None
        deadlines = [given.deadline for worker in self.crew.members for given in worker.parts.values()]
        first = min((deadline for deadline in deadlines if deadline is not None), default=math.inf)
        return min(max(0.0, first - monotonic()), LONGEST_WAIT)

    def _heard(self, worker: Worker, message: bytes) -> Outcome | None:
        tag, position, payload = unpack(message)
        if tag == READY:
            self._arrived(worker, position)
            return None
        try:
            value, _ = shared.loads(payload)
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
                for position in late:
                    self._try_again(position, lost[position], exitcode, self.timeout)

    def _try_again(self, position: int, given: Given, exitcode: int | None, timeout: float | None = None) -> None:
        self.tries[position] += 1
        if self.tries[position] > self.retries or (self.once and given.begun):
            raise WorkerDied(position, exitcode, self.tries[position], timeout)
        heappush(self.again, (position, given.item))


class _Start(_Call):
    """One attempt of `together`: all items are held until the last has arrived; no worker may die meanwhile."""

    def __init__(self, on: Processes, function: Callable[[Any], Any], once: bool) -> None:
        super().__init__(on, function, once)
        self.retries = 0
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
