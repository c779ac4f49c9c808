"""Arrays over memory-mapped files, which cross to other processes as the file's name and their place in it."""

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
class Place:
    """Where an array lies.

    Parameters
    ----------
    filename : str
        The file.
    inode : int
        Which file that was: another may have its name by now.
    mode : {"r", "r+"}
        Whether what is written into the array goes into the file.
    offset : int
        Of the array's first element, in bytes.
    stop : int
        Up to where it takes the file.
    """

    filename: str
    inode: int
    mode: str
    offset: int
    stop: int


def place_of(array: NDArray[Any]) -> Place | None:
    """Where an array lies in a file that other processes can map too; None if it does not.

    That is so for `numpy.memmap` and views of one, but not where writes are kept from the file (mode ``"c"``), or
    where the file has been deleted, or another has its name.
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
        inode = os.stat(filename).st_ino  # noqa: PTH116 - the name may be any that the system takes
    except OSError:
        return None
    if inode != _inode(base, inode):
        return None
    start = address(base) - base.offset
    _, stop = np.lib.array_utils.byte_bounds(array)
    return Place(filename, inode, "r" if base.mode == "r" else "r+", address(array) - start, stop - start)


def opened(place: Place) -> np.memmap[Any, Any]:
    """The bytes of the whole file, mapped, in which a place is.

    Raises
    ------
    OSError
        If the file is gone, or another has its name now, or it has become too short.
    """
    key = place.filename, place.inode, place.mode
    whole = _open.get(key)
    if whole is None or whole.nbytes < place.stop:
        with open(place.filename, "rb" if place.mode == "r" else "r+b") as file:  # noqa: PTH123 - as above
            if os.fstat(file.fileno()).st_ino != place.inode:
                raise FileNotFoundError(f"another file than the one that was sent has the name {place.filename} now")
            whole = np.memmap(file, np.uint8, mode="r" if place.mode == "r" else "r+")
    if whole.nbytes < place.stop:
        raise OSError(f"{place.filename} has been cut to {whole.nbytes} bytes since it was mapped")
    _open[key] = whole
    return whole


_open: weakref.WeakValueDictionary[tuple[str, int, str], np.memmap[Any, Any]] = weakref.WeakValueDictionary()
_inodes: dict[int, tuple[weakref.ref[Any], int]] = {}


def _inode(root: Any, otherwise: int) -> int:
    """The inode that is mapped, as Linux lists it; asked once for each mapping."""
    known = _inodes.get(id(root))
    if known is not None and known[0]() is root:
        return known[1]
    inode = otherwise
    with suppress(OSError, ValueError):  # not on Linux: the name has to be believed
        for line in Path("/proc/self/maps").read_text(errors="replace").splitlines():
            span, _, _, _, found, *_ = line.split(maxsplit=5)
            start, stop = (int(end, 16) for end in span.split("-"))
            if start <= address(root) < stop:
                inode = int(found)
    key = id(root)
    _inodes[key] = weakref.ref(root, lambda _: _inodes.pop(key, None)), inode
    return inode
