"""Arrays in memory-mapped files, which are sent to other processes as a file name and a range of bytes."""

from __future__ import annotations

import mmap
import os
import weakref
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parcount.shm.blocks import address


@dataclass(frozen=True)
class FileRange:
    """The bytes of a file that an array occupies."""

    filename: str
    inode: int  # because the name may belong to another file by now
    mode: str  # "r", or "r+" if writes to the array go to the file
    offset: int  # of the first element
    stop: int


def file_range_of(array: NDArray[Any]) -> FileRange | None:
    """The range that an array occupies in a file that other processes can map.

    None if the array is not a `numpy.memmap` or a view of one, if its mode is copy-on-write (``"c"``), and if the file
    has been deleted or replaced.
    """
    base: Any = array
    while not (isinstance(base, np.memmap) and isinstance(base.base, mmap.mmap)):
        base = getattr(base, "base", None)
        if base is None:
            return None
    if base.filename is None or base.mode == "c":
        return None
    filename = os.fspath(base.filename)
    try:
        inode = os.stat(filename).st_ino  # noqa: PTH116 - the name may be bytes or a descriptor
    except OSError:
        return None
    if inode != _inode(base, inode):
        return None
    start = address(base) - base.offset
    _, stop = np.lib.array_utils.byte_bounds(array)
    return FileRange(filename, inode, "r" if base.mode == "r" else "r+", address(array) - start, stop - start)


def open_range(file_range: FileRange) -> np.memmap[Any, Any]:
    """Map the whole file of a range. `OSError` if it has been deleted, truncated or replaced."""
    key = file_range.filename, file_range.inode, file_range.mode
    whole = _open.get(key)
    if whole is None or whole.nbytes < file_range.stop:
        with open(file_range.filename, "rb" if file_range.mode == "r" else "r+b") as file:  # noqa: PTH123 - as above
            if os.fstat(file.fileno()).st_ino != file_range.inode:
                raise FileNotFoundError(f"{file_range.filename} is not the file that was sent: it has been replaced")
            whole = np.memmap(file, np.uint8, mode="r" if file_range.mode == "r" else "r+")
    if whole.nbytes < file_range.stop:
        raise OSError(f"{file_range.filename} has been truncated to {whole.nbytes} bytes")
    _open[key] = whole
    return whole


_open: weakref.WeakValueDictionary[tuple[str, int, str], np.memmap[Any, Any]] = weakref.WeakValueDictionary()
_inodes: dict[int, tuple[weakref.ref[Any], int]] = {}


def _inode(root: Any, otherwise: int) -> int:
    """The inode of a mapping according to Linux, cached for each mapping; elsewhere `otherwise`."""
    known = _inodes.get(id(root))
    if known is not None and known[0]() is root:
        return known[1]
    inode = otherwise
    with suppress(OSError, ValueError):  # no such file on other systems
        for line in Path("/proc/self/maps").read_text(errors="replace").splitlines():
            span, _, _, _, found, *_ = line.split(maxsplit=5)
            start, stop = (int(end, 16) for end in span.split("-"))
            if start <= address(root) < stop:
                inode = int(found)
    key = id(root)
    _inodes[key] = weakref.ref(root, lambda _: _inodes.pop(key, None)), inode
    return inode
