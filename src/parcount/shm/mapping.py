"""Named shared memory of the operating system: create, open, unlink.

On POSIX systems the name belongs to a file in memory (on Linux in /dev/shm), which exists until it is unlinked. On
Windows it exists as long as a process has it mapped.

Opening does not register the name with the resource tracker of multiprocessing, unlike `SharedMemory` before Python
3.13: a tracker unlinks what is registered when its process ends, whoever else uses it. Creating does, so that the
tracker unlinks what a killed process leaves.
"""

from __future__ import annotations

import errno
import mmap
import os
import sys
import weakref
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from typing import Any

if sys.platform != "win32":
    from _posixshmem import shm_open, shm_unlink  # type: ignore[import-not-found] # what SharedMemory calls


def create(name: str, size: int, content: Any = b"") -> mmap.mmap:
    """Create and map shared memory of `size` bytes that begins with `content`; the rest is zero.

    Raises
    ------
    FileExistsError
        If the name is in use.
    OSError
        If there is not enough shared memory (``ENOSPC``).
    """
    if size > sys.maxsize:
        raise _no_room(size)
    if sys.platform == "win32":
        mapped = _map_windows(SharedMemory(name, create=True, size=size))
        mapped[: len(content)] = content
        return mapped
    descriptor = open_file(name, os.O_CREAT | os.O_EXCL)
    try:
        _register(name)
        fill(descriptor, size, content)
        return mmap.mmap(descriptor, size)
    except BaseException:
        unlink(name)
        raise
    finally:
        os.close(descriptor)


def open_existing(name: str) -> mmap.mmap:
    """Map the whole of existing shared memory.

    Raises
    ------
    FileNotFoundError
        If there is none of that name.
    PermissionError
        If it belongs to another user.
    ValueError
        If it is empty.
    """
    if sys.platform == "win32":
        return _map_windows(SharedMemory(name))
    descriptor = open_file(name)
    try:
        if not os.fstat(descriptor).st_size:
            raise ValueError(f"shared memory {name!r} is empty")
        return mmap.mmap(descriptor, 0)
    finally:
        os.close(descriptor)


def unlink(name: str) -> None:
    """Remove the name, if it exists. The memory is freed when nobody maps it."""
    if sys.platform != "win32":
        with suppress(FileNotFoundError):
            shm_unlink(f"/{name}")
        # A tracker complains about a name that it does not know, and a new one, after the first was killed, knows none.
        _register(name)
        resource_tracker.unregister(f"/{name}", "shared_memory")


def unlink_with(owner: object, name: str) -> weakref.finalize[Any, Any]:
    """Unlink the name when `owner` is freed, or when this process ends, but not in its forked children."""
    return weakref.finalize(owner, _unlink_in, os.getpid(), name)


def open_file(name: str, flags: int = 0) -> int:
    """Open the file of shared memory, on POSIX systems.

    Raises
    ------
    PermissionError
        If it belongs to another user, who could truncate it: each access to pages that are gone is a fatal SIGBUS.
    """
    descriptor: int = shm_open(f"/{name}", os.O_RDWR | flags, mode=0o600)
    if os.fstat(descriptor).st_uid != os.geteuid():
        os.close(descriptor)
        raise PermissionError(errno.EPERM, "shared memory belongs to another user", name)
    return descriptor


def fill(descriptor: int, size: int, content: Any = b"") -> None:
    """Set the size of a file in shared memory, reserve its pages and write `content` at its beginning.

    Without the reservation, a full /dev/shm would be a SIGBUS at the first access instead of an error here. To write
    takes half the time of mapping the pages and faulting in each (``bench/test_transport.py``).

    Raises
    ------
    OSError
        If there is no room (``ENOSPC``).
    """
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
        raise _no_room(size) if error.errno == errno.ENOSPC else error from error


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


def _register(name: str) -> None:
    resource_tracker.register(f"/{name}", "shared_memory")


def _unlink_in(process: int, name: str) -> None:
    if process == os.getpid():
        unlink(name)


def _no_room(size: int) -> OSError:
    return OSError(errno.ENOSPC, f"no room for {size} bytes of shared memory (/dev/shm in a container: --shm-size)")
