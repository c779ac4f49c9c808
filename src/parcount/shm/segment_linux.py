"""A segment on Linux: a file in /dev/shm, of which every owner holds a shared lock.

The kernel takes a lock back when its owner ends, however that ends. So an owner that can turn its lock into an
exclusive one is the last, and unlinks the file. Processes that are all killed leave a file that nobody has locked;
whoever makes a segment next sweeps it away.

A lock belongs to an open file description (see flock(2)), which a forked child would share with its parent. It gets one
of its own, opened before the fork, so that there is no moment at which it is there and owns nothing.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from contextlib import suppress
from multiprocessing import util
from pathlib import Path
from secrets import token_hex
from threading import get_ident
from weakref import WeakValueDictionary

from parcount.shm.blocks import reserve

PREFIX = Path("/dev/shm/parcount-")
"""What begins so, and nobody has locked, is swept away."""


class LinuxSegment:
    """A segment; see `parcount.shm.segment.Segment`."""

    def __init__(self, name: str, path: Path, descriptor: int) -> None:
        self.name = name
        # By a description of its own, for what is mapped keeps its description open, and any lock with it.
        mapped = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        try:
            self.memory = memoryview(mmap.mmap(mapped, 0))
        finally:
            os.close(mapped)
        self._lock = _Lock(_path(name), descriptor)
        self._watch()
        # The children of multiprocessing forget what is to be done at the end.
        util.register_after_fork(self, LinuxSegment._watch)
        _segments[id(self)] = self

    @classmethod
    def create(cls, name: str, size: int, content: bytes) -> LinuxSegment:
        """Make one of `size` bytes that begins with `content`."""
        sweep()
        draft, descriptor = _draft(_path(name))
        try:
            try:
                reserve(descriptor, size)
                os.ftruncate(descriptor, size)
                os.write(descriptor, content)
                segment = cls(name, draft, descriptor)
            except BaseException:
                os.close(descriptor)
                raise
            try:
                os.link(draft, _path(name))  # complete when it gets its name; and none but it may have that
            except BaseException:
                segment.release()
                raise
        finally:
            draft.unlink(missing_ok=True)  # once it is released, whoever else makes a segment sweeps it away
        return segment

    @classmethod
    def attach(cls, name: str) -> LinuxSegment:
        """Own one that is there."""
        descriptor = os.open(_path(name), os.O_RDWR | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)  # waits for one who is just unlinking it
            if not os.fstat(descriptor).st_nlink:
                raise FileNotFoundError(f"{name!r} was unlinked by its last owner")
            return cls(name, _path(name), descriptor)
        except BaseException:
            os.close(descriptor)
            raise

    def release(self) -> None:
        """Own it no longer."""
        self._finalizer()

    def _watch(self) -> None:
        """See to it that this process releases the segment when it drops it, or at its very end."""
        self._finalizer = util.Finalize(self, self._lock.release, exitpriority=-100)


class _Lock:
    """What a process owns a segment by."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._of_children: dict[int, int] = {}  # by the thread that is just forking

    def release(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            _unlink_if_last(self._path, descriptor)

    def before_fork(self) -> None:
        """Lock the file once more, for the child."""
        if self._descriptor >= 0:
            with suppress(OSError):  # too many files are open: the child will count, but not be an owner
                descriptor = os.open(self._path, os.O_RDWR | os.O_NOFOLLOW)
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
                self._of_children[get_ident()] = descriptor

    def after_fork_in_parent(self) -> None:
        """Leave that lock to the child."""
        descriptor = self._of_children.pop(get_ident(), -1)
        if descriptor >= 0:
            os.close(descriptor)

    def after_fork_in_child(self) -> None:
        """Take it, and close the parent's, and those for children of other threads."""
        own = self._of_children.pop(get_ident(), -1)
        for descriptor in (self._descriptor, *self._of_children.values()):
            if descriptor >= 0:
                os.close(descriptor)
        self._of_children.clear()
        self._descriptor = own


def sweep() -> None:
    """Unlink the segments that nobody owns."""
    for path in PREFIX.parent.glob(f"{PREFIX.name}*"):
        with suppress(OSError):  # it went meanwhile; or it is another user's
            _unlink_if_last(path, os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK))


def _path(name: str) -> Path:
    return PREFIX.with_name(PREFIX.name + name)


def _draft(path: Path) -> tuple[Path, int]:
    """A new file of ours under a name that nobody looks for."""
    while True:
        draft = path.with_name(f"{path.name}~{token_hex(4)}")
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if os.fstat(descriptor).st_nlink:
            return draft, descriptor
        os.close(descriptor)  # another process swept it away before it was locked


def _unlink_if_last(path: Path, descriptor: int) -> None:
    """Unlink a file if nobody else has locked it; close the descriptor, and with it the own lock."""
    with suppress(OSError):
        # The own lock is taken back before the exclusive one is asked for: of two who ask at once, the second gets it.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            path.unlink()
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing does not, if a process just being started has a copy
    os.close(descriptor)


_segments: WeakValueDictionary[int, LinuxSegment] = WeakValueDictionary()
"""Those that this process has opened, by identity."""

_forking: dict[int, list[LinuxSegment]] = {}
"""Those that a thread has locked for the child that it is just forking: none may go until it has left them to it."""


def _opened() -> list[LinuxSegment]:
    # Iterating over what is weakly held fails when another thread opens a segment meanwhile.
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
        segment._watch()
    _forking.clear()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
