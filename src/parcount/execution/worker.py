"""What runs in a worker process of `Processes`: take an item, apply the function, answer; until the pipe ends.

Each message is a tag of one byte, an item's position and a payload. To the worker: a task, a task to hold until told,
go, stop. From it: ready, a result, an error. Ready tells of an item that is held; before the first item, of the worker
itself.
"""

from __future__ import annotations

import os
import signal
import struct
import sys
from contextlib import suppress
from multiprocessing.connection import Connection

from parcount.execution import shared
from parcount.execution.errors import portable

TASK, HOLD, GO, STOP = b"t", b"h", b"g", b"s"
READY, RESULT, ERROR = b"r", b"o", b"e"

NONE = -1
"""The position in messages that are about no item."""

_HEAD = struct.Struct("=cq")


def pack(tag: bytes, position: int = NONE, payload: bytes = b"") -> bytes:
    """A message."""
    return _HEAD.pack(tag, position) + payload


def unpack(message: bytes) -> tuple[bytes, int, bytes]:
    """The tag, the position and the payload of a message."""
    return *_HEAD.unpack_from(message), message[_HEAD.size :]


def serve(connection: Connection, inherited: list[Connection], mark: str, setup: bytes) -> None:
    """Answer tasks until the caller says stop, or is gone.

    Parameters
    ----------
    connection : Connection
        The worker's end of its pipe.
    inherited : list of Connection
        The caller's ends that a forked worker got copies of: closed, or the caller's end would not be noticed.
    mark : str
        What the names of this worker's blocks begin with.
    setup : bytes
        The initializer and its arguments, or nothing.
    """
    # Ctrl-C reaches the whole group; the caller decides what becomes of the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for other in inherited:
        other.close()
    shared.use_mark(mark)
    ready = _set_up(setup)
    with suppress(OSError):  # the caller may be gone already
        connection.send_bytes(ready)
    mapped: list[shared.Block] = []
    while True:
        try:
            tag, position, task = unpack(connection.recv_bytes())
        except (EOFError, OSError):
            return
        if tag == STOP:
            return
        try:
            # Shared arrays stay mapped until the next task, which often lies on the same ones: to map a
            # block anew costs a page fault for every page.
            (function, item), mapped = shared.loads(task)
            if tag == HOLD and not _told_to_go(connection, position):
                return
            payload, given = shared.dumps(function(item), brought=mapped)
            tag = RESULT
        except BaseException as error:  # noqa: BLE001 - whatever it is, the caller is who must know
            if isinstance(error, SystemExit):
                os._exit(error.code if isinstance(error.code, int) else 1)
            payload, given = shared.dumps(portable(error), brought=mapped)
            tag = ERROR
        function = item = None
        if sys.platform != "win32":  # there a block ends with its last mapping: ours, until the caller has its own
            given.clear()
        try:
            connection.send_bytes(pack(tag, position, payload))
        except OSError:  # the caller is gone
            return


def _set_up(setup: bytes) -> bytes:
    """Run the initializer; the message that says how that went."""
    try:
        if setup:
            (initializer, arguments), _ = shared.loads(setup)
            initializer(*arguments)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the caller is who must know
        if isinstance(error, SystemExit):
            os._exit(error.code if isinstance(error.code, int) else 1)
        return pack(ERROR, payload=shared.dumps(portable(error), brought=())[0])
    return pack(READY)


def _told_to_go(connection: Connection, position: int) -> bool:
    """Say that the item is here; wait until all have theirs, or until the caller is gone."""
    try:
        connection.send_bytes(pack(READY, position))
        return unpack(connection.recv_bytes())[0] == GO
    except (EOFError, OSError):
        return False
