"""Named shared memory that holds counts; the last process that uses it unlinks it.

A process that opens a segment owns it until it releases it or ends, in whatever way. A segment consists of a header,
which says what it holds, and 64-bit cells.
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
"""Offset of the cells: they share no cache line with the header."""

_HEADER = struct.Struct("=8s16sq")
_MAGIC = b"parcount"


class Segment(Protocol):
    """Named shared memory that this process owns.

    Attributes
    ----------
    name : str
        The name by which other processes open it.
    memory : memoryview
        The whole segment. It stays mapped while it is referenced, even after `release`.
    """

    name: str
    memory: memoryview

    def release(self) -> None:
        """Give up ownership. The last owner unlinks the name; the memory is freed when nobody maps it."""


def create(kind: str, cells: int, first: int = 0, name: str | None = None) -> Segment:
    """Create a segment.

    Parameters
    ----------
    kind : str
        What it holds, in at most 16 ASCII letters.
    cells : int
        Number of cells; they are zero.
    first : int, optional
        Value of the first cell.
    name : str, optional
        A random one by default.

    Raises
    ------
    TypeError, ValueError
        If the name is not valid.
    FileExistsError
        If the name is in use.
    OSError
        If there is not enough shared memory.
    """
    content = _HEADER.pack(_MAGIC, kind.encode(), cells).ljust(CELLS_AT, b"\0") + struct.pack("=q", first)
    return System.create(_checked(token_hex(8) if name is None else name), CELLS_AT + 8 * max(1, cells), content)


def attach(kind: str, name: str) -> Segment:
    """Open an existing segment.

    Parameters
    ----------
    kind, name : str
        As it was created with.

    Raises
    ------
    FileNotFoundError
        If there is none of that name.
    PermissionError
        If it belongs to another user.
    TimeoutError
        If another process holds its lock for several seconds.
    ValueError
        If it is of another kind, or its header does not fit its size.
    """
    segment = System.attach(_checked(name))
    size = len(segment.memory)
    magic, found, cells = _HEADER.unpack_from(segment.memory) if size > CELLS_AT else (b"", b"", 0)
    found = found.rstrip(b"\0")
    if magic != _MAGIC or found != kind.encode() or cells < 0 or size < CELLS_AT + 8 * max(1, cells):
        segment.release()
        is_another = magic == _MAGIC and found != kind.encode()
        what = f"a {found.decode(errors='replace')}, not a {kind}" if is_another else f"not a valid {kind}"
        raise ValueError(f"shared memory {name!r} is {what}")
    return segment


def cells_of(segment: Segment) -> memoryview:
    """The cells of a segment, as 64-bit integers."""
    cells: int = _HEADER.unpack_from(segment.memory)[2]
    return segment.memory[CELLS_AT : CELLS_AT + 8 * max(1, cells)].cast("q")[:cells]


def _checked(name: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"name must be a str, not {type(name).__name__}")
    if not name or {"/", "\\", "\0", "~"} & set(name):
        raise ValueError(f"name must not be empty or contain a slash, a backslash, a null or a tilde: {name!r}")
    return name
