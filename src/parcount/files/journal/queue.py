"""Appending through a writer process: each process puts records into a ring in shared memory, one process writes them.

The rings and the socket of the writer process are files of a folder beside the journal, the queue. A record in a ring
is safe from every kill: the writer process writes what a killed process has left in its ring, and if the writer process
is killed, the next one goes on with the rings. The first process that needs a writer process starts it; it ends when
there is no ring left.

No process waits for a lock that another one can keep: each writes its own ring only, and learns by a connection of its
own that the writer process has written something or has ended.
"""

from __future__ import annotations

import mmap
import os
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import spawn
from pathlib import Path
from secrets import randbits, token_hex
from threading import RLock
from time import monotonic, sleep
from typing import Any, ClassVar

from parcount._native.journal_blocks import LOCK_USES_QUEUE, is_locked, lock
from parcount._native.journal_ring import CHECK, FULL, HEADER_BYTES, OUTCOMES, WAKE, Ring
from parcount.files.journal.format import open_for_writing, reopen, sync_to_disk, use

if sys.platform != "win32":
    import fcntl

CAPACITY = 1 << 20
"""Bytes of a ring, unless a record needs more."""

START_TIMEOUT = 60.0
"""Seconds within which a writer process has to start and to answer."""

RETRY = 0.002
"""Seconds between attempts to connect to a writer process that another process starts."""

LOST_BYTE = 1
"""Seconds after which a waiting process looks at its ring by itself: a signal handler may have read the byte."""

ATTEMPTS = 5
"""Writer processes that may end one after the other without having written anything for this process."""

NAME_BYTES = 16
"""Length of the name of a ring, with which a connection begins."""

ACCEPTED, REFUSED = b"+", b"-"
"""Answers of the writer process to the name of a ring."""


class QueueWriter:
    """A writer that feeds the writer process.

    Parameters
    ----------
    path : str
        The journal.
    sync : bool
        Whether a record is to be on the disk when it has been appended. The writer process synchronises all records
        that wait at once.
    text : bool
        Whether it is a text journal.
    capacity : int
        Bytes of the ring, a power of two.
    """

    how: ClassVar[str] = "queue"

    def __init__(self, path: str, *, sync: bool, text: bool, capacity: int = CAPACITY) -> None:
        self._path = os.path.abspath(path)  # noqa: PTH100 - a working directory may change
        self._sync = sync
        self._text = text
        self._capacity = capacity
        opened = open_for_writing(self._path, "queue", text=text)
        self._file, self._marker = opened.descriptor, opened.marker or None
        self._attached = True
        self._start()

    def append(self, data: Any) -> int:
        """Put a record into the ring, and wait for room if need be; return its sequence number."""
        while True:
            ring = self._ring or self._attach(self._capacity)
            code = ring.append(data)
            outcome = code % OUTCOMES
            if outcome != FULL:
                break
            self._make_room(ring, memoryview(data).nbytes)
        if outcome == WAKE:
            self._wake()
        elif outcome == CHECK:
            self._check()
        if self._sync:
            self._wait(ring, ring.head)
        return code // OUTCOMES

    def flush(self) -> None:
        """Wait until all records are in the file."""
        if (ring := self._ring) is not None:
            self._wait(ring, ring.head)

    def sync(self) -> None:
        """Wait until all records are on the disk."""
        self.flush()
        if self._file >= 0:
            sync_to_disk(self._file)

    def fileno(self) -> int:
        """Return the file descriptor."""
        return self._file

    def close(self) -> None:
        """Wait until all records are in the file, and close it."""
        with self._lock:
            try:
                self._detach()
            finally:
                self._drop()
                file, self._file = self._file, -1
                if file >= 0:
                    os.close(file)

    def after_fork(self) -> None:
        """Become a writer of its own in a forked child."""
        self._lock = RLock()
        self._drop()
        file, self._file = self._file, -1
        self._start()
        if file >= 0:
            self._file = reopen(file, self._path)
            self._attached = False

    # The ring

    def _start(self) -> None:
        self._lock = RLock()  # a signal handler may append too
        self._ring: Ring | None = None
        self._ring_file = -1  # whose lock says that this process lives
        self._connection: socket.socket | None = None
        self._number = randbits(64)
        self._sequence = 0

    def _attach(self, capacity: int) -> Ring:
        """Make a ring, and have a writer process serve it."""
        with self._lock:
            if self._ring is not None:
                return self._ring
            if self._file < 0:
                raise ValueError("the journal is closed")
            if not self._attached:
                use(self._file, self._path, "queue", text=self._text)
                self._attached = True
            self._folder = queue_folder(self._path, self._file)
            self._name, self._ring_file, memory = _create_ring(self._folder, capacity)
            ring = Ring(memory, (self._marker, self._number, self._sequence, self._sync))
            try:
                self._connect(ring)
            except BaseException:
                (self._folder / self._name).unlink(missing_ok=True)
                self._drop()
                raise
            self._ring = ring
            return ring

    def _detach(self) -> None:
        """Have the writer process write what is in the ring, and remove it."""
        if (ring := self._ring) is not None:
            ring.close()
            self._until(ring, lambda: ring.finished)
            self._sequence = ring.sequence
            deadline = monotonic() + LOST_BYTE
            while self._receive() and monotonic() < deadline:
                pass  # the writer process closes the connection, and if it ends, the file before
            self._drop()

    def _drop(self) -> None:
        """Close what belongs to the ring."""
        self._ring = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        descriptor, self._ring_file = self._ring_file, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _make_room(self, ring: Ring, size: int) -> None:
        """Wait until a record fits into the ring, or make a larger one; raise the error that the writer process met."""
        with self._lock:
            if self._ring is not ring:  # another thread has replaced or closed it
                return
            self._raise_error(ring)
            needed = ring.room_for(size)
            if needed <= ring.capacity:
                self._wait(ring, ring.head + needed - ring.capacity)
            else:
                self._detach()
                self._attach(1 << (needed - 1).bit_length())

    def _wait(self, ring: Ring, position: int) -> None:
        """Wait until the file has what is in front of a position of the ring."""
        if ring.tail < position:
            self._until(ring, lambda: ring.tail >= position)

    def _until(self, ring: Ring, condition: Any) -> None:
        """Wait for the writer process until a condition is met; raise the error that it has met."""
        with self._lock:
            ends, tail = 0, ring.tail
            while self._ring is ring:  # another thread may have closed it
                ring.wait()
                if condition():
                    return
                self._raise_error(ring)
                if ring.tail != tail:
                    ends, tail = 0, ring.tail
                if not (self._send() and self._receive()) and not condition():
                    ends += 1
                    if ends > ATTEMPTS:
                        raise OSError(
                            f"the writer process of {self._path} has ended {ends} times without writing anything"
                        )
                    self._connect(ring)

    def _raise_error(self, ring: Ring) -> None:
        if error := ring.error:
            raise OSError(error, os.strerror(error), self._path)

    # The writer process

    def _wake(self) -> None:
        with self._lock:
            if (ring := self._ring) is not None and not self._send():
                self._connect(ring)

    def _check(self) -> None:
        """Start a writer process if there is none."""
        with self._lock:
            if (ring := self._ring) is not None and not self._receive(socket.MSG_DONTWAIT):
                self._connect(ring)

    def _send(self) -> bool:
        """Send a byte to the writer process; return whether it lives."""
        assert self._connection is not None
        try:
            self._connection.send(b".", socket.MSG_DONTWAIT)
        except BlockingIOError:
            pass  # it has not yet read what was sent before
        except OSError:
            return False
        return True

    def _receive(self, flags: int = 0) -> bool:
        """Wait for a byte of the writer process; return whether it lives."""
        assert self._connection is not None
        try:
            return self._connection.recv(NAME_BYTES, flags) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def _connect(self, ring: Ring) -> None:
        """Connect to the writer process; start one if there is none."""
        deadline = monotonic() + START_TIMEOUT
        if self._connection is not None:
            self._connection.close()
        while not ring.finished:
            self._connection = socket.socket(socket.AF_UNIX)
            self._connection.settimeout(max(RETRY, deadline - monotonic()))
            try:
                with _short(self._folder) as folder:
                    self._connection.connect(f"{folder}/socket")
                self._connection.sendall(self._name.encode())
                answer = self._connection.recv(1)
            except OSError as error:
                answer = b"" if not isinstance(error, TimeoutError) else REFUSED
            if answer == ACCEPTED:
                # Not `settimeout`, for which Python waits before each call, even one that is not to wait.
                self._connection.settimeout(None)
                self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", LOST_BYTE, 0))
                return
            self._connection.close()
            if ring.finished:  # by a writer process that has found it by itself, and may have ended
                return
            if answer == REFUSED or monotonic() > deadline:
                raise OSError(
                    f"the writer process of {self._path} does not answer, or the folder {self._folder} was removed"
                )
            try:
                started = start_writer_process(self._folder, self._file)
            except FileNotFoundError:
                if ring.finished:  # just now
                    return
                raise
            if not started:
                sleep(RETRY)


def queue_folder(path: str, file: int) -> Path:
    """Return the folder of the queue of a journal, which has the file's number in its name: the path may be renamed."""
    return Path(f"{path}.{os.fstat(file).st_ino:x}.queue")


def recover(path: str) -> None:
    """Have a writer process write what is left in the queue of a journal, all of whose processes were killed."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return
    try:
        folder = queue_folder(path, file)
        if not folder.exists() or is_locked(file, LOCK_USES_QUEUE):
            return
        lock(file, LOCK_USES_QUEUE, shared=True)
        started = start_writer_process(folder, file)
        deadline = monotonic() + START_TIMEOUT
        while started and folder.exists() and monotonic() < deadline:
            sleep(RETRY)
    finally:
        os.close(file)


def start_writer_process(folder: Path, file: int) -> bool:
    """Start a process that writes to a file what is in the rings of a folder; return False if there is one already.

    It returns when the process takes connections. The process is no child of this one, has no terminal, ignores SIGINT
    and SIGTERM, and ends when there is no ring left.
    """
    try:
        held = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        raise FileNotFoundError(f"the folder {folder} was removed") from None
    _locks.add(held)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if not folder.exists() or not os.path.samestat(os.fstat(held), folder.stat()):
            return False
        code = (
            f"import sys; sys.path[:] = {[part for part in sys.path if isinstance(part, str)]!a}; "
            "from parcount.files.journal.queue_server import start; "
            f"start({os.fspath(folder)!a}, {file}, {held})"
        )
        flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined] # as multiprocessing does
        done = subprocess.run(
            [os.fsdecode(spawn.get_executable()), *flags, "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=(file, held),
            start_new_session=True,
            timeout=START_TIMEOUT,
            check=False,
        )
        if done.returncode < 0:  # killed
            return False
        if done.returncode:
            reason = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            raise OSError(f"the writer process of a journal does not start: {reason}")
        return True
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"the writer process of a journal does not start within {START_TIMEOUT} s") from None
    finally:
        _locks.discard(held)
        os.close(held)


@contextmanager
def _short(folder: Path) -> Iterator[str]:
    """Return a path of a folder that is short enough for the address of a socket."""
    if sys.platform == "linux":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        link = Path(tempfile.gettempdir(), f"pc-{token_hex(8)}")
        link.symlink_to(folder)
        try:
            yield os.fspath(link)
        finally:
            link.unlink(missing_ok=True)


def _create_ring(folder: Path, capacity: int) -> tuple[str, int, mmap.mmap]:
    """Create the file of a ring; return its name, a descriptor with a lock, and the memory."""
    name = token_hex(NAME_BYTES // 2)
    while True:
        folder.mkdir(exist_ok=True)
        try:
            descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        except FileNotFoundError:  # a writer process has just removed the folder
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            zeros = memoryview(bytes(HEADER_BYTES + capacity))
            while zeros:  # written, not only reserved: a full disk is an error here and not a signal later
                zeros = zeros[os.write(descriptor, zeros) :]
            return name, descriptor, mmap.mmap(descriptor, HEADER_BYTES + capacity)
        except BaseException:
            with suppress(OSError):
                (folder / name).unlink()
            os.close(descriptor)
            raise


_locks: set[int] = set()
"""Descriptors of locks of writer processes that are being started."""


def _close_locks() -> None:
    """Close in a forked child what would keep the parent's locks."""
    while _locks:
        os.close(_locks.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_locks)
