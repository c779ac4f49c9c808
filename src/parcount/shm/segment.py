"""Named shared memory that holds counts, and that its last owner unlinks.

Whoever opens a segment owns it until it is released or the process ends, however it ends. A segment begins with a
header that says what it is for; after that come cells of 64 bits.
"""

from __future__ import annotations

import struct
import sys
from secrets import token_hex
from typing import Protocol

if sys.platform == "linux":
    from parcount.shm.segment_linux import LinuxSegment as System
else:
    from parcount.shm.segment_portable import PortableSegment as System

CELLS_AT = 128
"""Where the cells begin: on cache lines of their own."""

_HEADER = struct.Struct("=8s8sq")
_MAGIC = b"parcount"


class Segment(Protocol):
    """A named piece of shared memory that this process owns.

    Attributes
    ----------
    name : str
        By which others find it.
    memory : memoryview
        All of it. It stays mapped as long as something refers to it, released or not.
    """

    name: str
    memory: memoryview

    def release(self) -> None:
        """Own it no longer: if nobody else does, its name goes now, and the memory when it is mapped nowhere."""


def create(kind: str, cells: int, first: int = 0, name: str | None = None) -> Segment:
    """Make a segment.

    Parameters
    ----------
    kind : str
        What it is for, in at most 8 letters.
    cells : int
        How many; zeros.
    first : int, optional
        What the first holds instead.
    name : str, optional
        One that nobody else uses by default.

    Raises
    ------
    TypeError, ValueError
        If that is no name.
    FileExistsError
        If the name is in use.
    OSError
        If the system has not that much shared memory.
    """
    content = _HEADER.pack(_MAGIC, kind.encode(), cells).ljust(CELLS_AT, b"\0") + struct.pack("=q", first)
    return System.create(_checked(token_hex(8) if name is None else name), CELLS_AT + 8 * max(1, cells), content)


def attach(kind: str, name: str) -> Segment:
    """Open a segment that is there.

    Parameters
    ----------
    kind, name : str
        As it was made with.

    Raises
    ------
    FileNotFoundError
        If there is none of that name.
    ValueError
        If it is of another kind.
    """
    segment = System.attach(_checked(name))
    size = len(segment.memory)
    magic, its, cells = _HEADER.unpack_from(segment.memory) if size > CELLS_AT else (b"", b"", 0)
    if magic != _MAGIC or its.rstrip(b"\0") != kind.encode() or size < CELLS_AT + 8 * cells:
        segment.release()
        raise ValueError(f"what is called {name!r} is no {kind}")
    return segment


def cells_of(segment: Segment) -> memoryview:
    """The cells of a segment, as integers of 64 bits."""
    cells: int = _HEADER.unpack_from(segment.memory)[2]
    return segment.memory[CELLS_AT : CELLS_AT + 8 * max(1, cells)].cast("q")[:cells]


def _checked(name: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"a name is a str, not {type(name).__name__}")
    if not name or {"/", "\\", "\0", "~"} & set(name):
        raise ValueError(f"a name has at least one character, and no slash and no tilde, unlike {name!r}")
    return name
