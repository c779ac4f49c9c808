"""What runs in a worker process of `Processes`: take an item, apply the function, answer; until the pipe ends.

Each message is a tag of one byte and a payload. To the worker: a task, a task to hold until told, go, stop. From it:
ready, a result, an error.
"""

from __future__ import annotations

import os
import signal
import sys
from multiprocessing.connection import Connection

from parcount.execution import shared
from parcount.execution.errors import portable

TASK, HOLD, GO, STOP = b"t", b"h", b"g", b"s"
READY, RESULT, ERROR = b"r", b"o", b"e"


def serve(connection: Connection, inherited: list[Connection], mark: str) -> None:
    """Answer tasks until the caller says stop, or is gone.

    Parameters
    ----------
    connection : Connection
        The worker's end of its pipe.
    inherited : list of Connection
        The caller's ends that a forked worker got copies of: closed, or the caller's end would not be noticed.
    mark : str
        What the names of this worker's blocks begin with.
    """
    # Ctrl-C reaches the whole group; the caller decides what becomes of the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for other in inherited:
        other.close()
    shared.use_mark(mark)
    connection.send_bytes(READY)
    mapped: list[shared.Block] = []
    while True:
        try:
            message = connection.recv_bytes()
        except (EOFError, OSError):
            return
        if message == STOP:
            return
        task = message[1:]
        try:
            # Shared arrays stay mapped until the next task, which often lies on the same ones: to map a
            # block anew costs a page fault for every page.
            (function, item), mapped = shared.loads(task)
            if message[:1] == HOLD and not _told_to_go(connection):
                return
            payload, given = shared.dumps(function(item), brought=mapped)
            reply = RESULT + payload
        except BaseException as error:  # noqa: BLE001 - whatever it is, the caller is who must know
            if isinstance(error, SystemExit):
                os._exit(error.code if isinstance(error.code, int) else 1)
            payload, given = shared.dumps(portable(error), brought=mapped)
            reply = ERROR + payload
        function = item = None
        if sys.platform != "win32":  # there a block ends with its last mapping: ours, until the caller has its own
            given.clear()
        try:
            connection.send_bytes(reply)
        except OSError:  # the caller is gone
            return


def _told_to_go(connection: Connection) -> bool:
    """Say that the item is here; wait until all have theirs, or until the caller is gone."""
    try:
        connection.send_bytes(READY)
        return connection.recv_bytes() == GO
    except (EOFError, OSError):
        return False
