"""Segments on Linux: files in /dev/shm on which every owner holds a shared lock.

The kernel releases a lock when its owner ends, in whatever way. So an owner that can turn its lock into an exclusive
one is the last, and unlinks the file. Processes that are all killed leave a file without a lock; the next process
that creates a segment unlinks it.

A lock belongs to an open file description (see flock(2)), which a forked child shares with its parent. So each child
gets a description of its own, opened and locked before the fork: at no moment does the child exist without owning the
segment.
"""

from __future__ import annotations

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
    """A segment; see `parcount.shm.segment.Segment`."""

    def __init__(self, name: str, path: Path, descriptor: int) -> None:
        self.name = name
        # A mapping keeps its description open, and with it the lock: so it has another one.
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
                raise FileNotFoundError(f"{name!r} was unlinked by its last owner")
            return cls(name, _path(name), descriptor)
        except BaseException:
            os.close(descriptor)
            raise

    def release(self) -> None:
        """Give up ownership."""
        self._finalizer()

    def _release_at_end(self) -> None:
        """Release the segment when it is freed or this process ends."""
        self._finalizer = util.Finalize(self, self._lock.release, exitpriority=-100)


class _Lock:
    """The lock by which a process owns a segment."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._of_children: dict[int, int] = {}  # by the thread that is forking

    def release(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            _unlink_if_last(self._path, descriptor)

    def before_fork(self) -> None:
        """Take another lock, for the child."""
        if self._descriptor >= 0:
            with suppress(OSError):  # too many open files: the child can count, but is not an owner
                descriptor = mapping.open_file(self._path.name)
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
                self._of_children[get_ident()] = descriptor

    def after_fork_in_parent(self) -> None:
        """Leave that lock to the child."""
        descriptor = self._of_children.pop(get_ident(), -1)
        if descriptor >= 0:
            os.close(descriptor)

    def after_fork_in_child(self) -> None:
        """Own that lock; close the parent's and those for children of other threads."""
        own = self._of_children.pop(get_ident(), -1)
        for descriptor in (self._descriptor, *self._of_children.values()):
            if descriptor >= 0:
                os.close(descriptor)
        self._of_children.clear()
        self._descriptor = own


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
        _lock_shared(descriptor, draft.name)
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
                raise TimeoutError(f"another process has locked {name!r} for {LOCK_TIMEOUT} s") from None
            sleep(0.001)


def _unlink_if_last(path: Path, descriptor: int) -> None:
    """Unlink a file if nobody else has locked it; close the descriptor, and with it the own lock."""
    with suppress(OSError):
        # flock releases the shared lock before it takes the exclusive one: of two that do this at once, one succeeds.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            path.unlink()
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing does not, if a process that is being started has a copy
    os.close(descriptor)


_segments: WeakValueDictionary[int, LinuxSegment] = WeakValueDictionary()
"""The open segments of this process, by identity."""

_forking: dict[int, list[LinuxSegment]] = {}
"""The segments for whose child each forking thread has taken locks; this keeps them alive until the fork is done."""


def _opened() -> list[LinuxSegment]:
    # Iterating over weak values fails when another thread opens a segment meanwhile.
    return [segment for reference in _segments.valuerefs() if (segment := reference()) is not None]


def _before_fork() -> None:
    _forking[get_ident()] = segments = _opened()
    for segment in segments:
        segment._lock.before_fork()


def _after_fork_in_parent() -> None:
    for segment in _forking.pop(get_ident(), ()):
        segment._lock.after_fork_in_parent()


def _after_fork_in_child() -> None:
    for segment in _opened():
        segment._lock.after_fork_in_child()
        segment._release_at_end()
    _forking.clear()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
