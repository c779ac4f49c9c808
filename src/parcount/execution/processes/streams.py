"""The streams of `Processes`: which worker has which item of a call, and what follows when a worker dies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from heapq import heappop, heappush
from itertools import count
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any, Self

from parcount.execution.chunks import ChunkSize, apply_to_each
from parcount.execution.errors import WorkerDied
from parcount.execution.processes.channel import ERROR, GO, HOLD, READY, TASK, TOO_LARGE, Received
from parcount.execution.processes.serialisation import Checker, Message, dumps, loads, loads_bytes
from parcount.execution.processes.supervisor import MAX_FAILED_STARTS, PendingTask, Worker
from parcount.execution.stream import Function, Outcome, TaskStream
from parcount.execution.unpicklable import Nowhere, Unsent, locate

if TYPE_CHECKING:
    from parcount.execution.processes.execution import Processes


class ProcessStream(TaskStream):
    """The items of one call."""

    def __init__(self, on: Processes, function: Function, idempotent: bool) -> None:
        assert on._pool is not None
        self.pool = on._pool
        self.packing = replace(self.pool.transport.packing, forked=on._forks, classes={})
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
        message, copies = self._dumps(self._call(item), position, item, item)
        self._send(position, PendingTask(item, copies, self.pool.deadline(), started=not self._holds), message)

    def _call(self, item: Any) -> tuple[Any, ...]:
        """Return the function and the arguments for an item."""
        return self.function, (item,), {}

    def _dumps(self, call: Any, position: int, item: Any, value: Any) -> tuple[Message, Sequence[Any]]:
        try:
            return dumps(call, self.packing)
        except Exception as error:  # an object's own __reduce__ may raise anything
            raise self._unsent(position, item, value, error) from error

    def _unsent(self, position: int, item: Any, value: Any, error: Exception) -> Exception:
        """Return the exception for a value that cannot be sent, which is the item or in it."""
        if isinstance(error, OSError | MemoryError):
            return error
        refusal = locate(value, error, Checker(Nowhere(), forked=self.packing.forked))
        return self._named(Unsent(False, refusal), position, item)

    def _named(self, unsent: Unsent, position: int, item: Any) -> TypeError:
        """Name the item in the exception for the task at a position, or for its result."""
        return unsent.of(position)

    def _send(self, position: int, task: PendingTask, message: Message) -> None:
        worker = self._free()
        assert worker is not None
        worker.pending[position] = task
        worker.send(TASK if task.started else HOLD, position, message)

    def poll(self) -> list[Outcome]:
        """Wait for an event and return the new outcomes; replace workers that have died or exceed a deadline."""
        outcomes = self.receive(self.pool.wait())
        self.pool.start_missing()
        self.send_again()
        return outcomes

    def receive(self, ready: Sequence[Any]) -> list[Outcome]:
        """Return the new outcomes; end workers that exceed a deadline. `ready` comes from `WorkerPool.wait`."""
        outcomes = []
        for worker, message in self.pool.poll(ready):
            if message is None:
                lost = dict(worker.pending)
                exitcode = self.pool.remove(worker)
                for position, task in lost.items():
                    self._try_again(position, task, exitcode)
            elif (outcome := self._handle(worker, message)) is not None:
                outcomes += self._collect(outcome)
                self.pool.task_done(worker)
        self._end_overdue()
        return outcomes

    def send_again(self) -> None:
        """Send the items that are to be tried again, as far as workers are free."""
        while self.again and self._free():
            self.submit(*heappop(self.again))

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
        if tag == TOO_LARGE:
            del worker.pending[position]
            return Outcome(position, error=MemoryError("the result does not fit into the memory of the caller"))
        try:
            value, _ = loads(payload)
        except Exception as error:  # noqa: BLE001 - a result's own __setstate__ may raise anything
            return Outcome(position, error=error)
        finally:
            item = worker.pending.pop(position).item
        if tag == ERROR:
            raised = value.error(loads_bytes)
            if isinstance(raised, Unsent):
                raised = self._named(raised, position, item)
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


class SimultaneousStream(ProcessStream):
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


class ChunkStream(ProcessStream):
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
        _, items = item
        message, copies = self._dumps((self.each, (items,), {}), position, item, items)
        deadline = None if self.pool.timeout is None else monotonic() + len(items) * self.pool.timeout
        self.sent[position] = perf_counter(), len(items), message.nbytes
        self._send(position, PendingTask(item, copies, deadline, started=True), message)

    def _named(self, unsent: Unsent, position: int, item: Any) -> TypeError:
        if position in self.singles:
            return unsent.of(self.singles[position][2])
        return unsent.of_chunk(*item)

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
