"""Named shared memory of the operating system: create, open, unlink.

On POSIX systems the name belongs to a file in memory (on Linux in /dev/shm), which exists until it is unlinked. On
Windows it exists as long as a process has it mapped.

Only the process that creates shared memory registers it with the resource tracker of multiprocessing, which unlinks it
after a kill. `SharedMemory` before Python 3.13 registers it in each process that opens it, so that it disappears when
the first of them ends.
"""

from __future__ import annotations

import atexit
import errno
import mmap
import os
import sys
import weakref
from collections import deque
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from typing import Any

if sys.platform != "win32":
    from _posixshmem import shm_open, shm_unlink  # type: ignore[import-not-found] # what SharedMemory calls

_untracked: deque[str] = deque()
"""Names that have been unlinked, and that the resource tracker is to forget."""


def create(name: str, size: int, content: Any = b"") -> mmap.mmap:
    """Create and map shared memory of `size` bytes that begins with `content`; the rest is zero.

    Raises `FileExistsError` if the name is in use, and `OSError` with ``ENOSPC`` if there is not enough shared memory.
    """
    if sys.platform == "win32":
        mapped = _map_windows(SharedMemory(name, create=True, size=min(size, sys.maxsize)))
        mapped[: len(content)] = content
        return mapped
    descriptor = open_file(name, os.O_CREAT | os.O_EXCL)
    try:
        resource_tracker.register(f"/{name}", "shared_memory")
        fill(descriptor, size, content)
        return mmap.mmap(descriptor, size)
    except BaseException:
        unlink(name)
        raise
    finally:
        os.close(descriptor)


def open_existing(name: str) -> mmap.mmap:
    """Map existing shared memory.

    Raises `FileNotFoundError`, `PermissionError` if it belongs to another user, and `ValueError` if it is empty.
    """
    if sys.platform == "win32":
        return _map_windows(SharedMemory(name))
    descriptor = open_file(name)
    try:
        return mmap.mmap(descriptor, 0)
    finally:
        os.close(descriptor)


def unlink(name: str) -> None:
    """Remove the name, if it exists. The memory is freed with its last mapping."""
    if sys.platform != "win32":
        with suppress(FileNotFoundError):
            shm_unlink(f"/{name}")
        _untracked.append(name)
        _unregister()


def unlink_with(owner: object, name: str) -> weakref.finalize[Any, Any]:
    """Unlink the name when `owner` is freed, or when this process ends, but not in its forked children."""
    return weakref.finalize(owner, _unlink_in, os.getpid(), name)


def open_file(name: str, flags: int = 0) -> int:
    """Open the file of shared memory, on POSIX systems. `PermissionError` if it belongs to another user.

    The owner of a file can truncate it, and access to truncated pages kills the process by SIGBUS.
    """
    descriptor: int = shm_open(f"/{name}", os.O_RDWR | flags, mode=0o600)
    if os.fstat(descriptor).st_uid != os.geteuid():
        os.close(descriptor)
        raise PermissionError(errno.EPERM, "shared memory belongs to another user", name)
    return descriptor


def fill(descriptor: int, size: int, content: Any = b"") -> None:
    """Set the size of a file in shared memory, reserve its pages and write `content` at its beginning.

    Without the reservation, a full /dev/shm would cause a SIGBUS at the first access instead of an error here. Writing
    takes half as long as mapping the pages and faulting in each (``bench/test_transport.py``).
    """
    if size > sys.maxsize:
        raise _no_space(size)
    try:
        os.ftruncate(descriptor, size)
        if len(content) < size and hasattr(os, "posix_fallocate"):
            _reserve(descriptor, size)
        if sys.platform != "linux":  # others cannot write to such files
            with mmap.mmap(descriptor, size) as mapped:
                mapped[: len(content)] = content
            return
        written = 0
        while written < len(content):
            written += os.pwrite(descriptor, content[written:], written)
    except OSError as error:
        raise _no_space(size) if error.errno == errno.ENOSPC else error from error


def _reserve(descriptor: int, size: int) -> None:
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        # Otherwise the file system does not support it.


def _map_windows(memory: SharedMemory) -> mmap.mmap:
    try:
        return mmap.mmap(-1, memory.size, tagname=memory.name)  # type: ignore[call-arg]
    finally:
        memory.close()


def _unlink_in(process: int, name: str) -> None:
    if process == os.getpid():
        unlink(name)


def _unregister() -> None:
    """Have the resource tracker forget the names that have been unlinked, unless it is being called already.

    The garbage collector can run a finalizer during a call of the tracker, which must not be called again then:
    CPython 3.11 waits for ever, later ones warn (https://github.com/python/cpython/issues/109629).
    """
    lock = resource_tracker._resource_tracker._lock  # type: ignore[attr-defined]
    while _untracked and not (lock._is_owned() if hasattr(lock, "_is_owned") else lock.locked()):
        with suppress(IndexError):  # another thread took the last one
            name = _untracked.popleft()
            # Registered again first: a tracker that was started after a kill does not know the name and would warn.
            resource_tracker.register(f"/{name}", "shared_memory")
            resource_tracker.unregister(f"/{name}", "shared_memory")


atexit.register(_unregister)


def _no_space(size: int) -> OSError:
    return OSError(errno.ENOSPC, f"no room for {size} bytes of shared memory (/dev/shm in a container: --shm-size)")
