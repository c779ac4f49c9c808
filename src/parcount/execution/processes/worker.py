"""What runs in a worker process of `Processes`: take an item, apply the function, answer; until the caller is gone."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection as mpc
from threading import Event, Lock, Thread, local
from typing import Any

from parcount.execution.errors import portable
from parcount.execution.processes.channel import ERROR, HOLD, NONE, READY, RESULT, STOP, Channel
from parcount.execution.processes.serialisation import Message, Packing, dumps, loads
from parcount.shm import blocks
from parcount.system import thread_limits


@dataclass(frozen=True)
class WorkerConfig:
    """What a worker is given for its way.

    Parameters
    ----------
    name_prefix : str
        What the names of its blocks begin with.
    initializes : bool
        Whether its first message is an initializer and its arguments.
    packing : Packing
        How its answers' arrays go.
    threads : int
        How many items it works at at once.
    thread_limit : int
        The most threads for each of the pools inside it.
    """

    name_prefix: str
    initializes: bool
    packing: Packing
    threads: int
    thread_limit: int


def serve(channel: Channel, inherited: Sequence[Channel], config: WorkerConfig) -> None:
    """Answer tasks until the caller says stop, or is gone.

    Parameters
    ----------
    channel : Channel
        The worker's end.
    inherited : sequence of Channel
        The caller's ends that a forked worker got copies of: closed, or the caller's end would not be noticed.
    config : WorkerConfig
        All else.
    """
    # Ctrl-C reaches the whole group; the caller decides what becomes of the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end_with_the_caller()
    for other in inherited:
        other.close_inherited()
    channel.close_peer()
    blocks.set_name_prefix(config.name_prefix)
    thread_limits.limit_threads(config.thread_limit)
    server = (
        _Server(channel, config.packing)
        if config.threads == 1
        else _ThreadedServer(channel, config.packing, config.threads)
    )
    with suppress(EOFError, OSError):  # the caller is gone
        server.send(READY)
        if config.initializes:
            server.initialize(channel.receive()[2])
        server.run()


class _Server:
    """Works at one item at a time, in the process's main thread."""

    def __init__(self, channel: Channel, packing: Packing) -> None:
        self.channel = channel
        self.packing = packing
        self.own = local()
        self.sending = Lock()

    def initialize(self, message: Message) -> None:
        """Call the initializer and report how that ended."""
        try:
            (initializer, arguments), _ = loads(message)
            initializer(*arguments)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the caller is who must know
            self.answer_with(NONE, error, [])
        else:
            self.send(READY)

    def run(self) -> None:
        """Answer what comes."""
        while True:
            tag, position, task = self.channel.receive()
            if tag == STOP:
                return
            self.work(tag, position, task)
            del task  # a large one would lie here until the next has come, beside it

    def work(self, tag: bytes, position: int, task: Message) -> None:
        """Apply the function to the item, and answer."""
        received: list[Any] = getattr(self.own, "received", [])
        try:
            # Shared arrays stay mapped until the next task, which often lies on the same ones: to map a
            # block anew costs a page fault for every page.
            (function, item), received = loads(task)
            self.own.received = received
            if tag == HOLD:
                self.wait_to_go(position)
            payload, copies = dumps(function(item), self.packing, received=received)
        except _CallerGone:
            raise
        except BaseException as error:  # noqa: BLE001 - as above
            self.answer_with(position, error, received)
            return
        function = item = None
        self.send(RESULT, position, payload, copies)

    def wait_to_go(self, position: int) -> None:
        """Say that the item is here, and wait until all have theirs."""
        try:
            self.send(READY, position)
            self.channel.receive()
        except (EOFError, OSError):
            raise _CallerGone from None

    def answer_with(self, position: int, error: BaseException, received: Sequence[Any]) -> None:
        """Send an exception; or end as `sys.exit` does."""
        if isinstance(error, SystemExit):
            os._exit(error.code if isinstance(error.code, int) else 1)
        payload, copies = dumps(portable(error), self.packing, received=received)
        self.send(ERROR, position, payload, copies)

    def send(
        self, tag: bytes, position: int = NONE, message: Message | None = None, copies: list[Any] | None = None
    ) -> None:
        """Send a whole message, of whichever thread."""
        # On Windows a block ends with its last mapping: ours, until the caller has its own.
        if copies and sys.platform != "win32":
            copies.clear()
        with self.sending:
            self.channel.send(tag, position, message)


class _ThreadedServer(_Server):
    """Works at several items at a time, in threads; the main thread receives."""

    def __init__(self, channel: Channel, packing: Packing, threads: int) -> None:
        super().__init__(channel, packing)
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix="parcount")
        self.go: dict[int, Event] = {}

    def run(self) -> None:
        """Hand what comes to the threads."""
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
        """As without threads, but it is the main one that hears of it."""
        go = self.go[position]
        self.send(READY, position)
        go.wait()


class _CallerGone(OSError):
    """Nobody waits for an answer."""


def _end_with_the_caller() -> None:
    """See that this process ends when the caller has, whatever it is doing then.

    On Linux the system does it: the pipe whose other end the caller holds is told to signal its end by SIGKILL, which a
    loop that keeps the GIL cannot delay (fcntl(2): F_SETSIG). Elsewhere a thread waits for that end.
    """
    caller = multiprocessing.parent_process()
    assert caller is not None
    if sys.platform == "linux":
        import fcntl

        end = caller.sentinel
        fcntl.fcntl(end, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(end, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(end, fcntl.F_SETFL, fcntl.fcntl(end, fcntl.F_GETFL) | os.O_ASYNC)
        if mpc.wait([end], 0):  # it ended before that
            os._exit(1)
    else:

        def watch() -> None:
            mpc.wait([caller.sentinel])
            os._exit(1)

        Thread(target=watch, name="parcount-caller", daemon=True).start()
