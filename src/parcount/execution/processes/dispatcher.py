"""The thread that runs the calls of `Processes.submit` on the workers and sets the results of their futures."""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import replace
from functools import partial
from heapq import heappop, heappush
from itertools import count
from multiprocessing import Pipe
from os import getpid
from threading import Lock, Semaphore, Thread, get_ident
from typing import TYPE_CHECKING, Any

from parcount.execution.base import Submitted
from parcount.execution.errors import WorkerDied
from parcount.execution.processes.channel import NONE
from parcount.execution.processes.serialisation import Checker
from parcount.execution.processes.streams import ProcessStream
from parcount.execution.processes.supervisor import DISPATCHER, IDLE_THREADS, PendingTask
from parcount.execution.stream import Outcome
from parcount.execution.unpicklable import Nowhere, Unsent, describe

if TYPE_CHECKING:
    from parcount.execution.processes.execution import Processes


class Dispatcher:
    """Runs submitted calls.

    The thread that submits a call sends it to a free worker itself, which takes less time than to wake another thread
    for that. If no worker is free, it queues the call. The dispatcher's thread receives results and sends queued calls.
    It keeps the workers, as a call of `map` does, until another call wants them and no submitted call is running.
    """

    def __init__(self, on: Processes) -> None:
        assert on._pool is not None
        self._pool = on._pool
        self._pool.on_wait = self._wake
        self._owner = getpid()
        self._lock = Lock()  # of all that follows, but not held while the thread waits
        self._stream = _CallStream(on)
        self._positions = count()
        self._futures: dict[int, Future[Any]] = {}
        self._queue: deque[tuple[int, Any]] = deque()
        self._parked = True  # the thread waits for `_start`
        self._acquired = False  # the dispatcher has the workers
        self._closed = False
        self._aborted = False
        self._woken = False  # the thread has a message that ends its wait
        self._start = Semaphore(0)
        self._receiver, self._sender = Pipe(duplex=False)  # wakes the thread while it waits for workers
        self._pool.poller.register(self._receiver)
        self._thread = Thread(target=self._run, name=DISPATCHER, daemon=True)
        self._thread.start()

    def submit(self, call: Any) -> Submitted:
        """Send or queue a call: a function, its arguments and its keyword arguments."""
        if get_ident() != self._thread.ident:  # in a callback of a future
            self._pool.check_usable()
        future: Future[Any] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("these workers have been ended")
            position = next(self._positions)
            if self._parked:
                self._acquired = self._pool.lock(block=False, thread=self._thread.ident)
                try:
                    if self._acquired:
                        with suppress(OSError, RuntimeError):  # the thread tries again, and fails the calls
                            self._pool.start_missing()  # this thread may be able to fork, which the other one is not
                finally:  # after Ctrl-C too: the thread has the workers
                    self._parked = False
                    self._start.release()
            if self._acquired and not self._queue and self._stream.has_capacity and not self._pool.contended:
                self._stream.submit(position, call)
                future.set_running_or_notify_cancel()
                if self._pool.timeout is not None:
                    self._wake()  # the thread has to wait no longer than until this call is due
            else:
                self._stream.check(call)
                self._queue.append((position, call))
            self._futures[position] = future
            IDLE_THREADS.discard(self._thread)
        return Submitted(future, partial(self._end, position))

    def unfinished(self) -> list[Future[Any]]:
        """Return the futures of all calls, unless they wait for a generator of this thread that has not ended."""
        if getpid() != self._owner or self._pool.used_by_this_thread:
            return []
        with self._lock:
            return list(self._futures.values())

    def close(self) -> None:
        """End all calls, and the thread."""
        if getpid() != self._owner:
            return
        self._pool.on_wait = None
        with self._lock:
            waits_for_workers = not self._parked and not self._acquired
            self._aborted = bool(self._futures)
            self._closed = True
            self._wake()
            futures = self._forget_calls() if waits_for_workers else []
        self._start.release()
        _fail(futures, _ended())
        # A call in a callback, in this dispatcher's thread, may be the last to leave: then the thread ends after it.
        if not waits_for_workers and get_ident() != self._thread.ident:
            self._thread.join()
            self._receiver.close()
            self._sender.close()

    def _wake(self) -> None:
        if not self._woken:
            try:
                self._woken = True
                self._sender.send_bytes(b"w")
            except BaseException:  # Ctrl-C
                self._woken = False
                raise

    def _run(self) -> None:
        while True:
            self._start.acquire()
            if self._parked:  # at the end
                return
            try:
                self._serve()
            except BaseException as error:  # noqa: BLE001 - of an initializer, or that no worker can be started
                with self._lock:
                    if self._acquired:
                        self._stream.close(error)
                    self._acquired = False
                    self._parked = True
                    IDLE_THREADS.add(self._thread)
                    futures = self._forget_calls()
                _fail(futures, error)

    def _serve(self) -> None:
        """Run the calls until another call wants the workers, or until the end."""
        while True:
            if not self._acquired:
                self._pool.lock()
                with self._lock:
                    self._acquired = True
            completed: list[tuple[Future[Any] | None, Outcome]] = []
            with self._lock:
                goes_on = self._start_calls()
                parked = self._parked
            while goes_on:
                ready = [] if self._stream.failed else self._pool.wait()
                try:
                    with self._lock:
                        if self._receiver in ready:
                            self._woken = False
                            self._receiver.recv_bytes()
                        outcomes = self._stream.receive(ready)
                        completed = [(self._futures.pop(outcome.position, None), outcome) for outcome in outcomes]
                        goes_on = self._start_calls()
                        parked = self._parked
                finally:
                    _complete(completed)  # at last: the thread that waits for it needs the GIL
                    completed, outcomes = [], []  # results are not kept while this thread waits
            if parked:
                return

    def _start_calls(self) -> bool:
        """Send queued calls, or release the workers if another call wants them; returns whether they are kept."""
        if self._aborted:
            raise _ended()
        if not self._closed:
            self._pool.start_missing()
        self._stream.send_again()
        wanted = self._pool.contended
        if not wanted:
            self._send_queued()
        if not self._futures:
            IDLE_THREADS.add(self._thread)
            wanted = wanted or len(self._pool.workers) < self._pool.size  # the next call starts the others
        if self._stream.busy or not (wanted or self._closed):
            return True
        self._pool.release()
        self._acquired = False
        self._parked = not self._futures
        return False

    def _send_queued(self) -> None:
        while self._queue and self._stream.has_capacity:
            position, call = self._queue.popleft()
            future = self._futures[position]
            if not future.set_running_or_notify_cancel():
                del self._futures[position]
                continue
            self._stream.send(position, call)

    def _forget_calls(self) -> list[Future[Any]]:
        futures = list(self._futures.values())
        self._futures.clear()
        self._queue.clear()
        return futures

    def _end(self, position: int) -> None:
        with self._lock:
            future = self._futures.get(position)
        if future is None or future.cancel():
            return
        with self._lock:
            if self._acquired:
                self._stream.end(position)
                self._wake()


class _CallStream(ProcessStream):
    """The submitted calls: one that fails for good does not end the others."""

    def __init__(self, on: Processes) -> None:
        super().__init__(on, operator.call, idempotent=True)
        self.packing = replace(self.packing, classes=None)  # they may change between two calls
        self.failed: list[Outcome] = []
        self.ended: set[int] = set()  # calls that are not to be tried again
        self.spared: set[int] = set()  # calls whose worker is killed to end another

    def check(self, call: Any) -> None:
        """Raise TypeError if a call cannot be pickled."""
        checker = Checker(Nowhere(), forked=self.packing.forked)
        try:
            checker.check(call)
        except Exception as error:  # an object's own __reduce__ may raise anything
            raise self._unsent(NONE, call, call, error) from error

    def submit(self, position: int, item: Any) -> None:
        """Send a call to a free worker."""
        try:
            super().submit(position, item)
        except BaseException:  # Ctrl-C, or no memory: a part of it may have been sent
            for worker in self.pool.workers:
                if position in worker.pending:
                    worker.break_off()
                    worker.pending.pop(position).copies = ()  # the traceback keeps the task
                    if not self._holds:
                        self.spared |= worker.pending.keys()
            raise

    def send(self, position: int, item: Any) -> None:
        """Send a call that has been checked to a free worker."""
        try:
            self.submit(position, item)
        except Exception as error:  # noqa: BLE001 - it has been changed since it was checked
            self.failed.append(Outcome(position, error=error))

    def send_again(self) -> None:
        """Send the calls that are to be tried again, as far as workers are free, unless they have been ended."""
        while self.again and self._free():
            position, item = heappop(self.again)
            if position in self.ended:
                self.failed.append(Outcome(position, error=CancelledError()))
            else:
                self.send(position, item)

    def receive(self, ready: Sequence[Any]) -> list[Outcome]:
        """Return the new outcomes."""
        outcomes = super().receive(ready)
        outcomes += self.failed
        self.failed.clear()
        for outcome in outcomes:
            self.ended.discard(outcome.position)
            self.spared.discard(outcome.position)
            self.tries.pop(outcome.position, None)
            self.futile.pop(outcome.position, None)
        return outcomes

    def end(self, position: int) -> None:
        """End a call that has been sent: kill its worker, unless that has other calls which may not be tried again."""
        for worker in self.pool.workers:
            if position in worker.pending:
                others = worker.pending.keys() - {position}
                if not others or not self._holds:
                    self.ended.add(position)
                    self.spared |= others
                    worker.process.kill()
                return
        if any(waiting == position for waiting, _ in self.again):
            self.ended.add(position)

    def close(self, error: BaseException | None) -> None:
        """Kill the workers, and forget all calls."""
        super().close(error)
        for calls in (self.ended, self.failed, self.spared, self.tries, self.futile):
            calls.clear()

    def _call(self, item: Any) -> tuple[Any, ...]:
        call: tuple[Any, ...] = item
        return call

    def _named(self, unsent: Unsent, position: int, item: Any) -> TypeError:
        return unsent.of_call(describe(item[0]))

    def _try_again(self, position: int, task: PendingTask, exitcode: int | None, timeout: float | None = None) -> None:
        if position in self.ended:
            self.failed.append(Outcome(position, error=CancelledError()))
        elif position in self.spared:
            self.spared.remove(position)
            heappush(self.again, (position, task.item))
        else:
            try:
                super()._try_again(position, task, exitcode, timeout)
            except WorkerDied as death:
                named = WorkerDied(None, exitcode, death.tries, timeout, function=describe(task.item[0]))
                self.failed.append(Outcome(position, error=named))


def _complete(completed: Iterable[tuple[Future[Any] | None, Outcome]]) -> None:
    for future, outcome in completed:
        if future is None:  # `submit` was interrupted
            continue
        with suppress(BaseException):  # SystemExit of a callback, which ends no other call
            if outcome.error is None:
                future.set_result(outcome.value)
            else:
                future.set_exception(outcome.error)


def _fail(futures: Iterable[Future[Any]], error: BaseException) -> None:
    for future in futures:
        with suppress(SystemExit):  # as above
            if future.running() or future.set_running_or_notify_cancel():
                future.set_exception(error)


def _ended() -> CancelledError:
    return CancelledError("the `with` block of its workers has been ended by an exception")
