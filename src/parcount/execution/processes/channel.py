"""How messages travel between the caller and one worker: through a pipe, or through queues.

A message is a tag of one byte, an item's position and a payload. Tags to the worker: set up (call the initializer),
task, hold (a task that waits for go), go, stop. Tags from it: ready, result, error. Ready follows the start of the
worker, its initializer, and the arrival of a task on hold.
"""

from __future__ import annotations

import io
import os
import select
import struct
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.queues import Queue as StandardQueue
from time import monotonic
from typing import Any

import numpy as np

from parcount.execution.processes.serialisation import Message

SETUP, TASK, HOLD, GO, STOP = b"i", b"t", b"h", b"g", b"s"
READY, RESULT, ERROR = b"r", b"o", b"e"

NONE = -1
"""The position in messages that concern no item."""

LONGEST_WAIT = 3600.0
"""Seconds to wait in one system call: its milliseconds must fit 31 bits."""

BUFFERS_PER_CALL = 64

SMALL_MESSAGE = 1 << 14
"""Bytes up to which copying a message is cheaper than keeping a view of it."""

Received = tuple[bytes, int, Message]

_HEAD = struct.Struct("=cqqq")
"""Tag, position, bytes of the pickled data, number of out-of-band buffers."""


class Channel(ABC):
    """One end of the connection to a worker."""

    @property
    @abstractmethod
    def waitable(self) -> Any:
        """An object for `multiprocessing.connection.wait` that is ready when a message, or the end, can be received."""

    @abstractmethod
    def send(
        self, tag: bytes, position: int = NONE, message: Message | None = None, deadline: float | None = None
    ) -> None:
        """Send a message.

        Raises
        ------
        TimeoutError
            If the other end has not taken all of it by `deadline`, a time of `time.monotonic`.
        OSError
            If the other end has been closed, and that is noticed.
        """

    @abstractmethod
    def poll(self) -> bool:
        """Whether there is something to receive, or the other end has been closed."""

    @abstractmethod
    def receive(self, deadline: float | None = None) -> Received:
        """Wait for the next message.

        Raises
        ------
        TimeoutError
            If not all of it has come by `deadline`, a time of `time.monotonic`.
        EOFError, OSError
            If the other end has been closed.
        """

    @abstractmethod
    def close_peer(self) -> None:
        """Close this process's copy of the other end, which the other process has now."""

    @abstractmethod
    def close_inherited(self) -> None:
        """Close the file descriptors of this end only: for a forked child that has copied its parent's end."""

    def close(self) -> None:
        """Close this end."""
        self.close_inherited()


class Pipe(Channel):
    """A socket pair (on Windows a named pipe) for both directions.

    Parameters
    ----------
    connection : Connection
        This process's end.
    other : Connection, optional
        The other process's, until that has it.
    """

    def __init__(self, connection: Connection, other: Connection | None = None) -> None:
        self._connection = connection
        self._other = other

    @property
    def waitable(self) -> Any:
        """The connection."""
        return self._connection

    def send(
        self, tag: bytes, position: int = NONE, message: Message | None = None, deadline: float | None = None
    ) -> None:
        """Write the head and the message, the out-of-band buffers from where they lie."""
        message = message or Message()
        sizes = [buffer.nbytes for buffer in message.out_of_band]
        parts = [
            _HEAD.pack(tag, position, len(message.data), len(sizes)),
            struct.pack(f"={len(sizes)}q", *sizes),
            message.data,
        ]
        if sys.platform != "win32" and len(message.data) <= SMALL_MESSAGE:
            parts = [b"".join(parts)]
        _write(self._connection, [*parts, *message.out_of_band], deadline)

    def poll(self) -> bool:
        """Whether there is something to read, or the end."""
        return self._connection.poll()

    def receive(self, deadline: float | None = None) -> Received:
        """Read a message, and its out-of-band buffers to where they stay."""
        tag, position, length, count = _HEAD.unpack(_read_bytes(self._connection, _HEAD.size, deadline))
        if not count and length <= SMALL_MESSAGE:
            return tag, position, Message(_read_bytes(self._connection, length, deadline))
        sizes = struct.iter_unpack("=q", _read_bytes(self._connection, 8 * count, deadline))
        buffers = [np.empty(size, np.uint8) for (size,) in sizes]
        data = io.BytesIO(bytes(length))  # filled in place, and `getvalue` does not copy either
        with data.getbuffer() as view:
            _read(self._connection, [view, *buffers], deadline)
        return tag, position, Message(data.getvalue(), buffers)

    def close_peer(self) -> None:
        """Close the other process's end."""
        if self._other is not None:
            self._other.close()

    def close_inherited(self) -> None:
        """Close the connection."""
        self._connection.close()


class Queues(Channel):
    """A `multiprocessing.Queue` for each direction, each filled by a thread: sending never waits for the receiver.

    Parameters
    ----------
    outwards, inwards : Queue
        For what this side sends, and for what it receives.
    """

    def __init__(self, outwards: StandardQueue[Any], inwards: StandardQueue[Any]) -> None:
        self._outwards = outwards
        self._inwards = inwards
        outwards._ignore_epipe = True  # type: ignore[attr-defined]  # as concurrent.futures: who died is found out anyway

    @property
    def waitable(self) -> Any:
        """The reading end of the queue."""
        return self._inwards._reader  # type: ignore[attr-defined]

    def send(
        self,
        tag: bytes,
        position: int = NONE,
        message: Message | None = None,
        deadline: float | None = None,  # noqa: ARG002
    ) -> None:
        """Put it into the queue."""
        self._outwards.put((tag, position, (message or Message()).data))

    def poll(self) -> bool:
        """Whether there is something to get, or the end."""
        return bool(self.waitable.poll())

    def receive(self, deadline: float | None = None) -> Received:  # noqa: ARG002
        """Get the next message. The deadline does not hold: a queue reads a message whole."""
        tag, position, data = self._inwards.get()
        return tag, position, Message(data)

    def close_peer(self) -> None:
        """Close the other side's ends: with two writers, the end of one would not be noticed."""
        self._outwards._reader.close()  # type: ignore[attr-defined]
        self._inwards._writer.close()  # type: ignore[attr-defined]

    def close_inherited(self) -> None:
        """Close this side's ends."""
        self._outwards._writer.close()  # type: ignore[attr-defined]
        self._inwards._reader.close()  # type: ignore[attr-defined]

    def close(self) -> None:
        """Close them once what has been put is sent, or never will be."""
        self._outwards.close()
        self._outwards.join_thread()
        self.close_inherited()


def pipe(context: BaseContext) -> tuple[Channel, Channel]:
    """The caller's end and the worker's of a pipe."""
    ours, theirs = context.Pipe()
    return Pipe(ours, theirs), Pipe(theirs)


def queues(context: BaseContext) -> tuple[Channel, Channel]:
    """The caller's end and the worker's of a pair of queues."""
    to_worker, from_worker = context.Queue(), context.Queue()
    return Queues(to_worker, from_worker), Queues(from_worker, to_worker)


def _write(connection: Connection, buffers: list[Any], deadline: float | None) -> None:
    if sys.platform == "win32":
        for buffer in filter(len, buffers):
            connection.send_bytes(buffer)
    else:
        _transfer(os.writev, select.POLLOUT, connection.fileno(), buffers, deadline)


def _read(connection: Connection, buffers: list[Any], deadline: float | None) -> None:
    if sys.platform == "win32":
        for buffer in filter(len, buffers):
            connection.recv_bytes_into(buffer)
    else:
        _transfer(os.readv, select.POLLIN, connection.fileno(), buffers, deadline)


def _read_bytes(connection: Connection, size: int, deadline: float | None) -> bytes:
    """Read a few bytes: in less time than `_read` if all of them are there."""
    if size == 0 or sys.platform == "win32":
        return connection.recv_bytes() if size else b""
    fd = connection.fileno()
    if deadline is not None:
        os.set_blocking(fd, False)
    data = b""
    while len(data) < size:
        try:
            more = os.read(fd, size - len(data))
        except BlockingIOError:
            _wait(fd, select.POLLIN, deadline)
            continue
        if not more:
            raise EOFError
        data += more
    return data


def _transfer(
    call: Callable[[int, list[memoryview]], int], event: int, fd: int, buffers: list[Any], deadline: float | None
) -> None:
    """Write or read all of `buffers`; TimeoutError if that takes until after `deadline`."""
    if deadline is not None:  # it stays so: to block in the kernel is faster, but has no time limit
        os.set_blocking(fd, False)
    views = [memoryview(buffer).cast("B") for buffer in buffers if len(buffer)]
    while views:
        try:
            count = call(fd, views[:BUFFERS_PER_CALL])
        except BlockingIOError:
            _wait(fd, event, deadline)
            continue
        if not count:
            raise EOFError
        while views and count >= views[0].nbytes:
            count -= views.pop(0).nbytes
        if count:
            views[0] = views[0][count:]


def _wait(fd: int, event: int, deadline: float | None) -> None:
    poll = select.poll()
    poll.register(fd, event)
    while not poll.poll(1000 * seconds_until(deadline)):
        if deadline is not None and deadline <= monotonic():
            raise TimeoutError


def seconds_until(deadline: float | None) -> float:
    """How long to wait at most, in one system call, for something that is due by `deadline`."""
    return LONGEST_WAIT if deadline is None else min(max(0.0, deadline - monotonic()), LONGEST_WAIT)
