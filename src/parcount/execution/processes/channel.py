"""How messages travel between the caller and one worker: through a pipe, or through queues.

A message is a tag of one byte, an item's position and a payload. Tags to the worker: task, hold (a task that waits for
go), go, stop. Tags from it: ready, result, error. Ready follows the start of the worker and the arrival of a task on
hold. The first task of a worker with an initializer, at position `NONE`, calls it.
"""

from __future__ import annotations

import io
import os
import select
import struct
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.queues import Queue as StandardQueue
from time import monotonic
from typing import Any

import numpy as np

from parcount.execution.processes.serialisation import Message

TASK, HOLD, GO, STOP = b"t", b"h", b"g", b"s"
READY, RESULT, ERROR = b"r", b"o", b"e"
TOO_LARGE = b"l"
"""In place of the tag of a message that does not fit into memory, and whose rest is still to come."""

NONE = -1
"""The position in messages that have no item."""

LONGEST_WAIT = 3600.0
"""Seconds to wait in one system call: its milliseconds must fit 31 bits."""

BUFFERS_PER_CALL = 64
"""Buffers to pass to one system call."""

SMALL_MESSAGE = 1 << 14
"""Bytes up to which copying a message is cheaper than keeping a view of it."""

Received = tuple[bytes, int, Message]

_HEAD = struct.Struct("=cqqq")
"""Tag, position, bytes of the pickled data, number of out-of-band buffers."""


class Channel(ABC):
    """One end of the connection to a worker.

    Parameters
    ----------
    waitable : Connection
        It is ready for `multiprocessing.connection.wait` when a message, or the end, can be received.
    ends : list of Connection
        The connections of this end.
    peer : list of Connection
        This process's copies of the connections of the other end.
    """

    def __init__(self, waitable: Any, ends: list[Any], peer: list[Any]) -> None:
        self.waitable = waitable
        self._ends = ends
        self._peer = peer

    @abstractmethod
    def send(
        self, tag: bytes, position: int = NONE, message: Message | None = None, deadline: float | None = None
    ) -> None:
        """Send a message.

        Raises
        ------
        TimeoutError
            If the other end has not taken all of it by `deadline`, a time of `time.monotonic`. Not on Windows.
        OSError
            If the other end has been closed, and that is noticed.
        """

    @abstractmethod
    def receive(self, deadline: float | None = None) -> Received:
        """Wait for the next message.

        Raises
        ------
        TimeoutError
            If it is not complete by `deadline`, a time of `time.monotonic`. Not on Windows.
        EOFError, OSError
            If the other end has been closed.
        """

    @property
    def has_received(self) -> bool:
        """Whether a part of the next message has been read, so that `waitable` may not be ready for it."""
        return False

    def close_peer(self) -> None:
        """Close this process's copy of the other end, so that the end of the other process is noticed."""
        for connection in self._peer:
            connection.close()

    def close_inherited(self) -> None:
        """Close the file descriptors of this end only: for a forked child that has copied its parent's end."""
        for connection in self._ends:
            connection.close()

    def close(self) -> None:
        """Close this end."""
        self.close_inherited()


class Pipe(Channel):
    """A socket pair (on Windows a named pipe) for both directions.

    Parameters
    ----------
    connection : Connection
        This process's end.
    *peer : Connection
        The other end, until the other process has it.
    """

    def __init__(self, connection: Connection, *peer: Connection) -> None:
        super().__init__(connection, [connection], [*peer])
        self._rest = b""

    def send(
        self, tag: bytes, position: int = NONE, message: Message | None = None, deadline: float | None = None
    ) -> None:
        """Write the head and the message, the out-of-band buffers from their own memory."""
        message = message or Message()
        sizes = [buffer.nbytes for buffer in message.out_of_band]
        parts = [
            _HEAD.pack(tag, position, len(message.data), len(sizes)),
            struct.pack(f"={len(sizes)}q", *sizes),
            message.data,
        ]
        if sys.platform != "win32" and len(message.data) <= SMALL_MESSAGE:
            parts = [b"".join(parts)]
        if sys.platform != "win32" and len(parts) == 1 and not sizes and deadline is None:
            _write_bytes(self.waitable, parts[0])
        else:
            _write(self.waitable, [*parts, *message.out_of_band], deadline)

    def receive(self, deadline: float | None = None) -> Received:
        """Read a message, and the out-of-band buffers into arrays of their own."""
        tag, position, length, count = _HEAD.unpack(self._take(_HEAD.size, deadline))
        if not count and length <= SMALL_MESSAGE:
            return tag, position, Message(self._take(length, deadline))
        sizes = struct.iter_unpack("=q", self._take(8 * count, deadline))
        try:
            buffers = [np.empty(size, np.uint8) for (size,) in sizes]
            data = io.BytesIO(bytes(length))  # filled in place, and `getvalue` does not copy either
        except MemoryError:
            return TOO_LARGE, position, Message()
        with data.getbuffer() as view:
            _read(self.waitable, self._fill([view, *buffers]), deadline)
        return tag, position, Message(data.getvalue(), buffers)

    @property
    def has_received(self) -> bool:  # noqa: D102 - as above
        return bool(self._rest)

    def _take(self, size: int, deadline: float | None) -> bytes:
        """Return the next bytes; what else has arrived is read too, which saves a system call for a small message."""
        if sys.platform == "win32":
            return self.waitable.recv_bytes() if size else b""
        while len(self._rest) < size:
            self._rest += _read_some(self.waitable, deadline)
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def _fill(self, buffers: list[Any]) -> list[memoryview]:
        """Copy what has been read already into buffers; return what is still to be filled."""
        views = [memoryview(buffer).cast("B") for buffer in buffers if len(buffer)]
        while views and self._rest:
            size = min(len(views[0]), len(self._rest))
            views[0][:size], self._rest = self._rest[:size], self._rest[size:]
            if size < len(views[0]):
                views[0] = views[0][size:]
            else:
                del views[0]
        return views


class Queues(Channel):
    """A `multiprocessing.Queue` for each direction, each filled by a thread: sending never waits for the receiver.

    Parameters
    ----------
    outwards, inwards : Queue
        For what this side sends, and for what it receives.
    """

    def __init__(self, outwards: StandardQueue[Any], inwards: StandardQueue[Any]) -> None:
        to: Any = outwards  # the connections are private
        from_: Any = inwards
        super().__init__(from_._reader, [to._writer, from_._reader], [to._reader, from_._writer])
        self._outwards = outwards
        self._inwards = inwards
        to._ignore_epipe = True  # as concurrent.futures: a dead worker is detected by its sentinel

    def send(
        self, tag: bytes, position: int = NONE, message: Message | None = None, deadline: float | None = None
    ) -> None:
        """Put the message into the queue."""
        self._outwards.put((tag, position, (message or Message()).data))

    def receive(self, deadline: float | None = None) -> Received:
        """Get the next message."""
        if sys.platform != "win32":  # the queue reads by this method of its connection, which has no deadline
            self.waitable._recv = partial(_read_file, self.waitable, deadline)
        tag, position, data = self._inwards.get()
        return tag, position, Message(data)

    def close(self) -> None:
        """Close this end once its thread has sent everything, or the other end has been closed."""
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


def _write_bytes(connection: Connection, data: bytes) -> None:
    """Write a few bytes: in less time than `_write`."""
    fd = connection.fileno()
    try:
        while len(data) > (count := os.write(fd, data)):
            data = data[count:]
    except BlockingIOError:  # the connection has been used with a deadline
        _write(connection, [data], None)


def _read(connection: Connection, buffers: list[Any], deadline: float | None) -> None:
    if sys.platform == "win32":
        for buffer in filter(len, buffers):
            connection.recv_bytes_into(buffer)
    else:
        _transfer(os.readv, select.POLLIN, connection.fileno(), buffers, deadline)


def _read_file(connection: Connection, deadline: float | None, size: int) -> io.BytesIO:
    """Read `size` bytes into a new file, as `Connection._recv` does."""
    file = io.BytesIO(bytes(size))  # filled in place, and `getvalue` does not copy either
    with file.getbuffer() as view:
        _read(connection, [view], deadline)
    return file


def _read_some(connection: Connection, deadline: float | None) -> bytes:
    """Wait for some bytes."""
    fd = connection.fileno()
    if deadline is not None:
        os.set_blocking(fd, False)
    while True:
        try:
            data = os.read(fd, SMALL_MESSAGE)
        except BlockingIOError:
            _wait(fd, select.POLLIN, deadline)
            continue
        if not data:
            raise EOFError
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
