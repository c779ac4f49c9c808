"""A segment where files in shared memory cannot be locked: the standard library's shared memory.

Who made it unlinks it: when that process releases it, or ends; if it is killed, the standard library's resource tracker
does. The others keep what they have mapped, but nobody else can attach any more. On Windows there is nothing to unlink:
a segment goes with the last process that has it open.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from multiprocessing.shared_memory import SharedMemory
from weakref import finalize

PREFIX = "pc."  # short: macOS allows for 30 characters


class PortableSegment:
    """A segment; see `parcount.shm.segment.Segment`."""

    def __init__(self, name: str, memory: memoryview, made: SharedMemory | None) -> None:
        self.name = name
        self.memory = memory
        self._release = finalize(self, _unlink, made, os.getpid()) if made is not None else None

    @classmethod
    def create(cls, name: str, size: int, content: bytes) -> PortableSegment:
        """Make one of `size` bytes that begins with `content`."""
        made = SharedMemory(PREFIX + name, create=True, size=size)
        memory = _memory_of(made)
        memory[: len(content)] = content
        return cls(name, memory, made)

    @classmethod
    def attach(cls, name: str) -> PortableSegment:
        """Own one that is there."""
        return cls(name, _mapped(PREFIX + name), None)

    def release(self) -> None:
        """Own it no longer."""
        if self._release is not None:
            self._release()


def _mapped(name: str) -> memoryview:
    """Map one that another process made, without telling this process' resource tracker, which would unlink it."""
    if sys.platform == "win32" or sys.version_info >= (3, 13):
        return _memory_of(SharedMemory(name, **({} if sys.platform == "win32" else {"track": False})))
    from _posixshmem import shm_open  # type: ignore[import-not-found] # what SharedMemory calls

    descriptor = shm_open(f"/{name}", os.O_RDWR, mode=0o600)
    try:
        return memoryview(mmap.mmap(descriptor, os.fstat(descriptor).st_size))
    finally:
        os.close(descriptor)


def _memory_of(opened: SharedMemory) -> memoryview:
    """What it has mapped, for as long as something refers to that: what refers to its own ``buf`` it cannot outlive."""
    assert opened.buf is not None

    class Memory(ctypes.c_char * opened.size):  # type: ignore[misc]
        mapping: SharedMemory

    memory = Memory.from_address(ctypes.addressof(ctypes.c_char.from_buffer(opened.buf)))
    memory.mapping = opened
    return memoryview(memory).cast("B")


def _unlink(made: SharedMemory, owner: int) -> None:
    if owner == os.getpid():  # not in a forked child
        made.unlink()
