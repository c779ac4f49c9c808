"""How messages travel between the caller and one worker: through a pipe, or through queues.

Each is a tag of one byte, an item's position and a payload. To the worker: a task, a task to hold until told, go, stop.
From it: ready, a result, an error. Ready tells of an item that is held; before the first item, of the worker itself.
"""

from __future__ import annotations

import os
import struct
import sys
from abc import ABC, abstractmethod
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.queues import Queue as StandardQueue
from typing import Any

import numpy as np

from parcount.execution.processes.serialisation import Message

TASK, HOLD, GO, STOP = b"t", b"h", b"g", b"s"
READY, RESULT, ERROR = b"r", b"o", b"e"

NONE = -1
"""The position in messages that are about no item."""

INLINE_MAX_BYTES = 1 << 16
"""Bytes up to which a message is copied together with its head, which spares a call of the system."""

Received = tuple[bytes, int, Message]

_HEAD = struct.Struct("=cqq?")


class Channel(ABC):
    """One end of the way to a worker."""

    @property
    @abstractmethod
    def waitable(self) -> Any:
        """What becomes ready, for `multiprocessing.connection.wait`, when there is something to receive."""

    @abstractmethod
    def send(self, tag: bytes, position: int = NONE, message: Message | None = None) -> None:
        """Send.

        Raises
        ------
        OSError
            If the other end has been closed, and that is noticed.
        """

    @abstractmethod
    def poll(self) -> bool:
        """Whether there is something to receive, or the other end has been closed."""

    @abstractmethod
    def receive(self) -> Received:
        """Wait for the next message.

        Raises
        ------
        EOFError, OSError
            If the other end has been closed.
        """

    @abstractmethod
    def close_peer(self) -> None:
        """Close what was only here to be handed to the other side, which has it now."""

    @abstractmethod
    def close_inherited(self) -> None:
        """Close what the system has open of this end, and nothing more: a forked child, with an end of its parent's."""

    def close(self) -> None:
        """Close this end."""
        self.close_inherited()


class Pipe(Channel):
    """A pipe of the system's for both directions.

    Parameters
    ----------
    connection : Connection
        This side's end.
    other : Connection, optional
        The other side's, until that has it.
    """

    def __init__(self, connection: Connection, other: Connection | None = None) -> None:
        self._connection = connection
        self._other = other

    @property
    def waitable(self) -> Any:
        """The connection."""
        return self._connection

    def send(self, tag: bytes, position: int = NONE, message: Message | None = None) -> None:
        """Write the head, then the message, then what follows it, from where that lies."""
        message = message or Message()
        inline = len(message.data) <= INLINE_MAX_BYTES
        sizes = [buffer.nbytes for buffer in message.out_of_band]
        head = _HEAD.pack(tag, position, len(sizes), inline) + struct.pack(f"={len(sizes)}q", *sizes)
        if inline:
            self._connection.send_bytes(head + message.data)
        else:
            self._connection.send_bytes(head)
            self._connection.send_bytes(message.data)
        for buffer in message.out_of_band:
            _write(self._connection, buffer)

    def poll(self) -> bool:
        """Whether there is something to read, or the end."""
        return self._connection.poll()

    def receive(self) -> Received:
        """Read a message, and what follows it into where it stays."""
        head = self._connection.recv_bytes()
        tag, position, count, inline = _HEAD.unpack_from(head)
        start = _HEAD.size + 8 * count
        sizes = struct.unpack_from(f"={count}q", head, _HEAD.size)
        data = head[start:] if inline else self._connection.recv_bytes()
        apart = [np.empty(size, np.uint8) for size in sizes]
        for buffer in apart:
            _read(self._connection, buffer.data)
        return tag, position, Message(data, apart)

    def close_peer(self) -> None:
        """Close the other side's end."""
        if self._other is not None:
            self._other.close()

    def close_inherited(self) -> None:
        """Close the connection."""
        self._connection.close()


class Queues(Channel):
    """A `multiprocessing.Queue` for each direction, each filled by a thread: to send does not wait for the receiver.

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

    def send(self, tag: bytes, position: int = NONE, message: Message | None = None) -> None:
        """Put it into the queue."""
        self._outwards.put((tag, position, (message or Message()).data))

    def poll(self) -> bool:
        """Whether there is something to get, or the end."""
        return bool(self.waitable.poll())

    def receive(self) -> Received:
        """Get the next message."""
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


def _write(connection: Connection, buffer: memoryview) -> None:
    if sys.platform == "win32":
        connection.send_bytes(buffer)
        return
    while buffer:
        buffer = buffer[os.write(connection.fileno(), buffer) :]


def _read(connection: Connection, buffer: memoryview) -> None:
    if sys.platform == "win32":
        connection.recv_bytes_into(buffer)
        return
    while buffer:
        count = os.readv(connection.fileno(), [buffer])
        if not count:
            raise EOFError
        buffer = buffer[count:]
