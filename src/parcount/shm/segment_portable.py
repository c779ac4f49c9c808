"""Segments on systems that cannot lock files in shared memory.

The process that creates a segment unlinks it when it releases the segment or ends; after a kill, the resource tracker
of multiprocessing does. Processes that have attached the segment keep their mapping.
"""

from __future__ import annotations

from typing import Any
from weakref import finalize

from parcount.shm import mapping

PREFIX = "pc."  # short: macOS allows 30 characters


class PortableSegment:
    """Named shared memory, with the interface of `LinuxSegment`."""

    def __init__(self, name: str, memory: memoryview) -> None:
        self.name = name
        self.memory = memory
        self._unlink: finalize[Any, Any] | None = None

    @classmethod
    def create(cls, name: str, size: int, content: bytes) -> PortableSegment:
        """Create a segment of `size` bytes that begins with `content`."""
        segment = cls(name, memoryview(mapping.create(PREFIX + name, size, content)))
        segment._unlink = mapping.unlink_with(segment, PREFIX + name)
        return segment

    @classmethod
    def attach(cls, name: str) -> PortableSegment:
        """Open an existing segment."""
        return cls(name, memoryview(mapping.open_existing(PREFIX + name)))

    def release(self) -> None:
        """Unlink the name, if this process created the segment."""
        if self._unlink is not None:
            self._unlink()
