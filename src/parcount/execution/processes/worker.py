"""The main loop of a worker process of `Processes`: receive an item, apply the function, send the result."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from multiprocessing import connection as mpc
from threading import Event, Lock, Thread, local
from typing import Any

from parcount.execution.errors import Failure
from parcount.execution.processes.channel import ERROR, HOLD, NONE, READY, RESULT, STOP, Channel
from parcount.execution.processes.serialisation import Checker, Message, Packing, dumps, loads, loads_bytes
from parcount.execution.unpicklable import Nowhere, Unsent, locate
from parcount.shm import blocks
from parcount.system import malloc, thread_limits
from parcount.system.cores import Share, set_share


@dataclass(frozen=True)
class WorkerConfig:
    """The settings of a worker process."""

    name_prefix: str  # of its shared memory blocks
    initializes: bool  # whether its first task calls the initializer
    packing: Packing  # of its results
    threads: int  # the number of items that it runs at the same time
    thread_limit: int  # the cores for each item, and the limit for each thread pool of a numerical library


def serve(channel: Channel, inherited: Sequence[Channel], config: WorkerConfig) -> None:
    """Run tasks until the caller sends stop or has ended.

    `inherited` are the caller's ends of channels that a forked worker has copied: while they are open, the end of the
    caller is not noticed.
    """
    # Ctrl-C reaches the whole process group; the caller ends the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end_with_the_caller()
    for other in inherited:
        other.close_inherited()
    channel.close_peer()
    blocks.set_name_prefix(config.name_prefix)
    thread_limits.limit_threads(config.thread_limit)
    malloc.reuse_freed_memory()
    server = _ThreadedServer(channel, config) if config.threads > 1 else _Server(channel, config)
    with suppress(EOFError, OSError):  # the caller has ended
        server.send(READY)
        if config.initializes:
            server.work(*channel.receive())
        server.run()


class _Server:
    """Runs one item at a time, in the main thread."""

    def __init__(self, channel: Channel, config: WorkerConfig) -> None:
        self.channel = channel
        self.packing = config.packing
        self.own = local()
        self.sending = Lock()

    def run(self) -> None:
        """Run tasks as they arrive."""
        while True:
            tag, position, task = self.channel.receive()
            if tag == STOP:
                return
            self.work(tag, position, task)
            del task  # it would stay in memory until the next one has arrived

    def work(self, tag: bytes, position: int, task: Message) -> None:
        """Call the function and send the result."""
        received: list[Any] = getattr(self.own, "received", [])
        try:
            # Shared arrays stay mapped until the next task, which often has the same ones: mapping a block again costs
            # a page fault for each page.
            (function, args, kwargs), received = loads(task)
            self.own.received = received
            if tag == HOLD:
                self.wait_to_go(position)
            result = function(*args, **kwargs)
            try:
                payload, copies = dumps(result, self.packing, received=received)
            except (OSError, MemoryError):
                raise
            except Exception as error:  # an object's own __reduce__ may raise anything
                raise Unsent(True, locate(result, error, Checker(Nowhere(), received=received))) from error
        except _CallerGone:
            raise
        except BaseException as error:  # noqa: BLE001 - any exception is reported to the caller
            self.answer_with(position, error, received)
            return
        function = args = kwargs = result = None
        self.send(RESULT, position, payload, copies)

    def wait_to_go(self, position: int) -> None:
        """Report that the item has arrived, and wait for go."""
        try:
            self.send(READY, position)
            self.channel.receive()
        except (EOFError, OSError):
            raise _CallerGone from None

    def answer_with(self, position: int, error: BaseException, received: Sequence[Any]) -> None:
        """Send an exception; SystemExit ends the process."""
        if isinstance(error, SystemExit):
            os._exit(error.code if isinstance(error.code, int) else 1)

        def pickled(value: Any) -> bytes:
            return dumps(value, Packing(), received=received)[0].data

        self.send(ERROR, position, Message(pickled(Failure.of(error, pickled, loads_bytes))))

    def send(
        self, tag: bytes, position: int = NONE, message: Message | None = None, copies: list[Any] | None = None
    ) -> None:
        """Send a message; safe from several threads."""
        # On Windows a block ends with its last mapping: this one, until the caller has mapped it.
        if copies and sys.platform != "win32":
            copies.clear()
        with self.sending:
            self.channel.send(tag, position, message)


class _ThreadedServer(_Server):
    """Runs several items at a time in threads; the main thread receives."""

    def __init__(self, channel: Channel, config: WorkerConfig) -> None:
        super().__init__(channel, config)
        shares = map(partial(Share, 1), count())  # `thread_limit` is for each thread already
        self.pool = ThreadPoolExecutor(
            config.threads, thread_name_prefix="parcount", initializer=lambda: set_share(next(shares))
        )
        self.go: dict[int, Event] = {}

    def run(self) -> None:
        """Submit tasks to the threads as they arrive."""
        while True:
            tag, position, task = self.channel.receive()
            if tag == STOP:
                return
            if position in self.go:
                self.go.pop(position).set()
                continue
            if tag == HOLD:
                self.go[position] = Event()
            self.pool.submit(self.work, tag, position, task)
            del task

    def wait_to_go(self, position: int) -> None:
        """Report that the item has arrived; the main thread receives go."""
        go = self.go[position]
        self.send(READY, position)
        go.wait()


class _CallerGone(OSError):
    """The caller has ended."""


def _end_with_the_caller() -> None:
    """Make this process end when the caller has ended.

    On Linux the kernel sends SIGKILL when the caller's end of a pipe is closed (F_SETSIG of fcntl(2)); a loop that
    holds the GIL cannot delay that. Elsewhere a thread waits for it.
    """
    caller = multiprocessing.parent_process()
    assert caller is not None
    if sys.platform == "linux":
        import fcntl

        end = caller.sentinel
        fcntl.fcntl(end, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(end, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(end, fcntl.F_SETFL, fcntl.fcntl(end, fcntl.F_GETFL) | os.O_ASYNC)
        if mpc.wait([end], 0):  # it has ended already
            os._exit(1)
    else:

        def watch() -> None:
            mpc.wait([caller.sentinel])
            os._exit(1)

        Thread(target=watch, name="parcount-caller", daemon=True).start()
