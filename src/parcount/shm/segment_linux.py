"""Segments on Linux: files in /dev/shm on which every owner holds a shared lock.

The kernel releases the lock of an owner that ends. An owner that can convert its lock to an exclusive one is the last
owner, and unlinks the file. If all owners are killed, the file remains without a lock; the next process that creates a
segment unlinks it.

A lock belongs to an open file description (see flock(2)), which a forked child shares with its parent. So the parent
opens and locks another description before the fork, which the child takes over.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from multiprocessing import util
from pathlib import Path
from secrets import token_hex
from threading import get_ident
from time import monotonic, sleep
from weakref import WeakValueDictionary

from parcount.shm import mapping

PREFIX = Path("/dev/shm/parcount-")
"""Files that begin with this and have no lock are unlinked."""

LOCK_TIMEOUT = 5.0
"""Seconds to wait for a lock. Owners hold exclusive ones for microseconds."""


class LinuxSegment:
    """Named shared memory that this process owns. It stays mapped while `memory` is referenced."""

    def __init__(self, name: str, path: Path, descriptor: int) -> None:
        self.name = name
        # With another description, because the mapping keeps it open, and with it a lock.
        self.memory = memoryview(mapping.open_existing(path.name))
        self._lock = _Lock(_path(name), descriptor)
        self._release_at_end()
        # Children of multiprocessing clear the finalizers of their parent.
        util.register_after_fork(self, LinuxSegment._release_at_end)
        _segments[id(self)] = self

    @classmethod
    def create(cls, name: str, size: int, content: bytes) -> LinuxSegment:
        """Create a segment of `size` bytes that begins with `content`."""
        sweep()
        draft, descriptor = _draft(_path(name))
        try:
            try:
                mapping.fill(descriptor, size, content)
                segment = cls(name, draft, descriptor)
            except BaseException:
                os.close(descriptor)
                raise
            try:
                os.link(draft, _path(name))  # so the file is complete when it gets its name; fails if that is in use
            except BaseException:
                segment.release()
                raise
        finally:
            draft.unlink(missing_ok=True)  # after a release, other processes' `sweep` may have done it
        return segment

    @classmethod
    def attach(cls, name: str) -> LinuxSegment:
        """Open an existing segment."""
        descriptor = mapping.open_file(_path(name).name)
        try:
            _lock_shared(descriptor, name)  # its last owner may be unlinking it
            if not os.fstat(descriptor).st_nlink:
                raise FileNotFoundError(errno.ENOENT, "unlinked by its last owner", name)
            return cls(name, _path(name), descriptor)
        except BaseException:
            os.close(descriptor)
            raise

    def release(self) -> None:
        """Give up ownership. The last owner unlinks the name."""
        self._finalizer()

    def _release_at_end(self) -> None:
        """Release the segment when it is freed or this process ends."""
        self._finalizer = util.Finalize(self, self._lock.release, exitpriority=-100)


class _Lock:
    """The lock by which this process owns a segment."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor  # -1 after the release

    def release(self) -> None:
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            _unlink_if_last(self.path, descriptor)


def sweep() -> None:
    """Unlink this user's segments that have no owner."""
    for path in PREFIX.parent.glob(f"{PREFIX.name}*"):
        with suppress(OSError):  # unlinked meanwhile, or another user's
            _unlink_if_last(path, mapping.open_file(path.name))


def _path(name: str) -> Path:
    return PREFIX.with_name(PREFIX.name + name)


def _draft(path: Path) -> tuple[Path, int]:
    """Create a file under a temporary name and lock it."""
    while True:
        draft = path.with_name(f"{path.name}~{token_hex(4)}")
        descriptor = mapping.open_file(draft.name, os.O_CREAT | os.O_EXCL)
        _lock_shared(descriptor, path.name)
        if os.fstat(descriptor).st_nlink:
            return draft, descriptor
        os.close(descriptor)  # another process's `sweep` came before the lock


def _lock_shared(descriptor: int, name: str) -> None:
    deadline = monotonic() + LOCK_TIMEOUT
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            if monotonic() > deadline:
                reason = f"another process has held the lock for {LOCK_TIMEOUT} s"
                raise TimeoutError(errno.ETIMEDOUT, reason, name) from None
            sleep(0.001)


def _unlink_if_last(path: Path, descriptor: int) -> None:
    """Unlink a file if nobody else has locked it; close the descriptor, and with it the own lock."""
    with suppress(OSError):
        # flock releases the shared lock before it takes the exclusive one: if two do this at once, one succeeds.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            path.unlink()
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing does not while a process that is being started has a copy
    os.close(descriptor)


_segments: WeakValueDictionary[int, LinuxSegment] = WeakValueDictionary()
"""The open segments of this process, by identity."""

_forking: dict[int, dict[LinuxSegment, int]] = {}
"""For each thread that is forking, the segments and their descriptors for the child."""


def _opened() -> list[LinuxSegment]:
    # Iterating over weak values fails when another thread opens a segment meanwhile.
    return [segment for reference in _segments.valuerefs() if (segment := reference()) is not None]


def _before_fork() -> None:
    descriptors = _forking[get_ident()] = {}
    for segment in _opened():
        if segment._lock.descriptor >= 0:
            with suppress(OSError):  # too many open files: the child can count, but is not an owner
                descriptors[segment] = descriptor = mapping.open_file(segment._lock.path.name)
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)


def _after_fork_in_parent() -> None:
    for descriptor in _forking.pop(get_ident(), {}).values():
        os.close(descriptor)


def _after_fork_in_child() -> None:
    own = _forking.pop(get_ident(), {})
    for descriptors in _forking.values():
        for descriptor in descriptors.values():
            os.close(descriptor)
    _forking.clear()
    for segment in _opened():
        if segment._lock.descriptor >= 0:
            os.close(segment._lock.descriptor)
        segment._lock.descriptor = own.get(segment, -1)
        segment._release_at_end()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
