"""Named shared memory for counts, which the last of its owners unlinks.

A process that opens a segment owns it until it releases it or ends, even by a signal. A segment consists of a header,
which contains the kind of counter and the number of cells, and of 64-bit cells.
"""

from __future__ import annotations

import errno
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_hex

if sys.platform == "linux":
    from parcount.shm.segment_linux import LinuxSegment as Segment
else:
    from parcount.shm.segment_portable import PortableSegment as Segment

__all__ = ["Segment", "attach", "cells_of", "create"]

CELLS_AT = 128
"""Offset of the cells: they share no cache line with the header."""

_HEADER = struct.Struct("=8s16sq")
_MAGIC = b"parcount"
_REASONS = {
    errno.ENOENT: "no counter has this name",
    errno.EEXIST: "the name is in use",
    errno.EINVAL: "the name is too long",
    errno.ENAMETOOLONG: "the name is too long",
}


def create(kind: str, cells: int, first: int = 0, name: str | None = None) -> Segment:
    """Create a segment of cells that are zero, except the `first`; its name is random by default.

    Raises `TypeError` or `ValueError` if the name is not valid, `FileExistsError` if it is in use, and `OSError` if
    there is not enough shared memory. `kind` has at most 16 ASCII letters.
    """
    name = token_hex(8) if name is None else _checked(name)
    content = _HEADER.pack(_MAGIC, kind.encode(), cells).ljust(CELLS_AT, b"\0") + struct.pack("=q", first)
    with _public_errors(name):
        return Segment.create(name, CELLS_AT + 8 * max(1, cells), content)


def attach(kind: str, name: str) -> Segment:
    """Open an existing segment. `SharedBase.attach` lists the exceptions."""
    with _public_errors(_checked(name)):
        segment = Segment.attach(name)
    size = len(segment.memory)
    magic, found, cells = _HEADER.unpack_from(segment.memory) if size > CELLS_AT else (b"", b"", 0)
    found = found.rstrip(b"\0")
    if magic != _MAGIC or found != kind.encode() or cells < 0 or size < CELLS_AT + 8 * max(1, cells):
        segment.release()
        is_another = magic == _MAGIC and found != kind.encode()
        what = f"a {found.decode(errors='replace')}, not a {kind}" if is_another else f"not a valid {kind}"
        raise ValueError(f"shared memory {name!r} is {what}")
    return segment


@contextmanager
def _public_errors(name: str) -> Iterator[None]:
    """Replace the names of files in errors by the counter's name."""
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, error.strerror)
        raise OSError(error.errno, reason, name if error.filename else None) from None
    except ValueError:  # an empty file cannot be mapped
        raise ValueError(f"shared memory {name!r} is empty, not a counter") from None


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
