"""The writer process of a queue: it writes to the journal what other processes put into their rings."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import re
import resource
import select
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from parcount._native.journal_ring import ASLEEP, LAZY, Ring
from parcount.files.journal.format import align, sync_to_disk
from parcount.files.journal.queue import ACCEPTED, NAME_BYTES, REFUSED, _short

GATHER = 1
"""Milliseconds to let records gather, unless somebody waits for them: writing few at a time costs more."""

LOOK = 100
"""Milliseconds between looks at whether a process without a connection lives, and between attempts after an error."""

BUFFERS_PER_CALL = 512
"""Buffers to pass to one system call."""

_NAME = re.compile(rf"[0-9a-f]{{{NAME_BYTES}}}")


def start(folder: str, file: int, lock: int) -> None:  # noqa: ARG001 - held until this process ends
    """Become the writer process of a folder, of which this process has the lock.

    The process that was started ends, when the socket can be connected to, and a child of it goes on.
    """
    server = QueueServer(Path(folder), file)
    if os.fork():
        os._exit(0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    os.chdir("/")
    with suppress(OSError, ValueError):  # each ring takes two files
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    server.run()
    os._exit(0)


@dataclass(eq=False)
class Feeder:
    """A ring, with the connection of the process that fills it."""

    name: str
    ring: Ring
    descriptor: int
    connection: Connection | None = None


@dataclass(eq=False)
class Connection:
    """A connection, which begins with the name of a ring."""

    socket: socket.socket
    name: bytes = b""
    feeder: Feeder | None = field(default=None, repr=False)


class QueueServer:
    """Writes the rings of a folder to a file.

    Parameters
    ----------
    folder : Path
        The folder; this process has its lock.
    file : int
        The journal, open for reading and writing.
    """

    def __init__(self, folder: Path, file: int) -> None:
        self._folder = folder
        self._file = file
        self._feeders: dict[str, Feeder] = {}
        self._connections: dict[int, Connection] = {}
        self._error = 0
        self._find_rings()
        (folder / "socket").unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        with _short(folder) as short:
            self._listener.bind(f"{short}/socket")
        self._listener.setblocking(False)
        self._listener.listen(128)
        self._poll = select.poll()
        self._poll.register(self._listener, select.POLLIN)

    def run(self) -> None:
        """Write until there is no ring left, or an error and no process that lives; then close the file."""
        self._write_claims([*self._feeders.values()])  # what another writer process has begun
        timeout: float | None = 0
        while True:
            self._communicate(timeout)
            wrote = self._write()
            retired = self._retire()
            if not self._feeders:
                self._find_rings()  # of processes that were killed before they connected
            if not self._feeders or (self._error and not self._alive()):
                break
            for connection in retired:
                self._disconnect(connection)
            timeout = self._rest(wrote)
        self._listener.close()
        (self._folder / "socket").unlink(missing_ok=True)
        os.close(self._file)
        with suppress(OSError):  # somebody may have made a new ring
            self._folder.rmdir()

    # Rings

    def _find_rings(self) -> None:
        for entry in sorted(self._folder.iterdir()):
            if entry.name not in self._feeders:
                self._open(entry.name)

    def _open(self, name: str) -> Feeder | None:
        """Open a ring; None if there is none, or if it is not complete."""
        if not _NAME.fullmatch(name):
            return None
        try:
            descriptor = os.open(self._folder / name, os.O_RDWR)
        except OSError:
            return None
        try:
            feeder = self._feeders[name] = Feeder(name, Ring(mmap.mmap(descriptor, 0)), descriptor)
        except (OSError, ValueError):
            if _is_abandoned(descriptor):
                (self._folder / name).unlink(missing_ok=True)
            os.close(descriptor)
            return None
        return feeder

    def _alive(self) -> bool:
        return any(feeder.connection or not _is_abandoned(feeder.descriptor) for feeder in self._feeders.values())

    def _retire(self) -> list[Connection]:
        """Remove the rings that are empty and get no more records; return the connections of their owners."""
        retired = []
        for feeder in [*self._feeders.values()]:
            ring = feeder.ring
            done = ring.closed or (feeder.connection is None and _is_abandoned(feeder.descriptor))
            if done and ring.head == ring.tail:
                ring.finish()
                (self._folder / feeder.name).unlink(missing_ok=True)
                self._remove(feeder)
                if feeder.connection is not None:
                    retired.append(feeder.connection)
                    self._notify(feeder)
        return retired

    def _remove(self, feeder: Feeder) -> None:
        del self._feeders[feeder.name]
        os.close(feeder.descriptor)

    # Writing

    def _write(self) -> bool:
        """Write what is in the rings; return whether there was something.

        Each ring first notes where its bytes belong in the file: the next writer process writes them there again,
        whatever this one has done when it is killed.
        """
        waiting = [feeder for feeder in self._feeders.values() if feeder.ring.head != feeder.ring.tail]
        if not waiting:
            return False
        if not self._error:
            offset = os.fstat(self._file).st_size
            try:
                offset = self._end_line(offset) if waiting[0].ring.text else align(offset)
            except OSError as error:
                self._fail(error, waiting)
                return False
            for feeder in waiting:
                try:
                    offset += feeder.ring.claim(offset)
                except ValueError:
                    self._set_aside(feeder)
        return self._write_claims(waiting)

    def _end_line(self, size: int) -> int:
        """End a line that another writer left without its end; return the new size."""
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            size += os.pwrite(self._file, b"\n", size)
        return size

    def _write_claims(self, feeders: list[Feeder]) -> bool:
        """Write what rings have claimed, at once where it lies together, and release it."""
        claims: list[tuple[int, list[memoryview], Feeder]] = []
        for feeder in feeders:
            try:
                claims.append((*feeder.ring.claimed(), feeder))
            except ValueError:
                self._set_aside(feeder)
        claims = sorted((claim for claim in claims if claim[1]), key=lambda claim: claim[0])
        if not claims:
            return False
        runs: list[tuple[int, list[memoryview]]] = []
        end = -1
        for offset, views, _ in claims:
            if offset == end:
                runs[-1][1].extend(views)
            else:
                runs.append((offset, [*views]))
                end = offset
            end += sum(map(len, views))
        try:
            for offset, views in runs:
                _write_at(self._file, offset, views)
            if any(feeder.ring.sync for _, _, feeder in claims):
                sync_to_disk(self._file)
        except OSError as error:
            with suppress(OSError):
                if os.fstat(self._file).st_size > claims[0][0]:
                    os.ftruncate(self._file, claims[0][0])
            self._fail(error, feeders)
            return False
        self._error = 0
        for _, _, feeder in claims:  # in the order of the file: what a killed process has not released is at its end
            if feeder.ring.release():
                self._notify(feeder)
        return True

    def _fail(self, error: OSError, feeders: list[Feeder]) -> None:
        """Tell an error, after which the same will be tried again."""
        self._error = error.errno or errno.EIO
        for feeder in feeders:
            if feeder.ring.fail(self._error):
                self._notify(feeder)

    def _set_aside(self, feeder: Feeder) -> None:
        """Keep a damaged ring under another name, and serve it no more."""
        path = self._folder / feeder.name
        with suppress(OSError):
            path.rename(path.with_suffix(".damaged"))
        self._remove(feeder)
        if feeder.connection is not None:
            self._disconnect(feeder.connection)

    # Connections

    def _rest(self, wrote: bool) -> float | None:
        """Return how many milliseconds to wait at most, after the feeders know what is to wake this process."""
        if self._error:
            return LOOK
        depth = LAZY if wrote else ASLEEP
        if sum(feeder.ring.sleep(depth) for feeder in self._feeders.values()):  # all of them
            return 0
        if wrote:
            return GATHER
        return LOOK if any(feeder.connection is None for feeder in self._feeders.values()) else None

    def _communicate(self, timeout: float | None) -> None:
        """Wait for connections and bytes, which are read."""
        for descriptor, _ in self._poll.poll(timeout):
            connection = self._connections.get(descriptor)
            if connection is None:
                self._accept()
                continue
            try:
                received = connection.socket.recv(4096)
            except BlockingIOError:
                continue
            except OSError:
                received = b""
            if not received:
                self._disconnect(connection)
            elif connection.feeder is None:
                self._greet(connection, received)

    def _accept(self) -> None:
        with suppress(OSError):  # the other end may have closed it
            accepted, _ = self._listener.accept()
            accepted.setblocking(False)
            self._connections[accepted.fileno()] = Connection(accepted)
            self._poll.register(accepted, select.POLLIN)

    def _greet(self, connection: Connection, received: bytes) -> None:
        """Find the ring that a connection names."""
        connection.name += received
        if len(connection.name) < NAME_BYTES:
            return
        name = connection.name[:NAME_BYTES].decode(errors="replace")
        feeder = self._feeders.get(name) or self._open(name)
        if feeder is not None:
            feeder.connection, connection.feeder = connection, feeder
        with suppress(OSError):
            connection.socket.send(REFUSED if feeder is None else ACCEPTED)

    def _notify(self, feeder: Feeder) -> None:
        if feeder.connection is not None:
            with suppress(OSError):  # if the feeder has not yet read the last byte, it does not need another
                feeder.connection.socket.send(b".")

    def _disconnect(self, connection: Connection) -> None:
        if connection.feeder is not None and connection.feeder.connection is connection:
            connection.feeder.connection = None
        self._poll.unregister(connection.socket)
        del self._connections[connection.socket.fileno()]
        connection.socket.close()


def _write_at(file: int, offset: int, views: list[memoryview]) -> None:
    """Write all of some views to a place in a file."""
    position = 0
    while views:
        batch = views[:BUFFERS_PER_CALL]
        if hasattr(os, "pwritev"):
            written = os.pwritev(file, batch, offset + position)
        else:
            os.lseek(file, offset + position, os.SEEK_SET)
            written = os.writev(file, batch)
        position += written
        while views and written >= len(views[0]):
            written -= len(views.pop(0))
        if written:
            views[0] = views[0][written:]


def _is_abandoned(descriptor: int) -> bool:
    """Whether the process that has made a ring lives no more, or has forgotten it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return True
