"""Arrays in named shared memory, which other processes map by that name."""

from __future__ import annotations

import ctypes
import errno
import math
import os
import weakref
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from secrets import token_hex
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class Block:
    """A named piece of shared memory that lives as long as the arrays on it.

    NumPy keeps a block alive through ``__array_interface__``, which exports no buffer: unlike an array over
    ``SharedMemory.buf``, the last array's end can close the mapping.

    Parameters
    ----------
    size : int
        Bytes to allocate, or 0 to open the existing block `name`.
    name : str, optional
        The block to open.
    content : memoryview, optional
        The bytes to begin with, as many as `size`.
    lasting : bool
        Whether its name lasts as long as its arrays do, so that it can be sent. That of a copy ends with the call
        that it was made for, that of a gift when it is received.

    Raises
    ------
    OSError
        If the system has not that much shared memory (``ENOSPC``): now, rather than by a bus error when a page
        is first touched.
    """

    def __init__(
        self, size: int = 0, name: str | None = None, *, content: memoryview | None = None, lasting: bool = True
    ) -> None:
        memory = _create(size) if name is None else SharedMemory(name)
        if name is None:
            descriptor = getattr(memory, "_fd", -1)
            try:
                if content is None:
                    reserve(descriptor, size)
                else:
                    _fill(memory, descriptor, content)
            except OSError:
                memory.close()
                memory.unlink()
                raise
        self.name = memory.name
        self.size = memory.size
        self.lasting = lasting
        self._memory = memory
        assert memory.buf is not None
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(memory.buf))
        self.__array_interface__ = {
            "version": 3,
            "shape": (self.size,),
            "typestr": "|u1",
            "data": (self.address, False),
        }
        self._unlink = weakref.finalize(self, _unlink, memory, os.getpid() if name is None else None)
        self._close = weakref.finalize(self, memory.close)
        self._close.atexit = False  # arrays may outlive the interpreter's last statements; the system unmaps
        _blocks[self.name] = self

    def give_away(self) -> None:
        """Leave unlinking to the process that this block is sent to."""
        self._unlink.detach()

    def unlink(self) -> None:
        """Take the name away now; the memory stays until its last array goes."""
        self._memory.unlink()


_blocks: weakref.WeakValueDictionary[str, Block] = weakref.WeakValueDictionary()
"""The blocks that this process has mapped, by name."""


def shared_array(shape: int | tuple[int, ...], dtype: DTypeLike = np.int64) -> NDArray[Any]:
    """An array of zeros that worker processes see without a copy.

    Parameters
    ----------
    shape : int or tuple of int
        Its shape.
    dtype : data-type, optional
        Its dtype; must hold no Python objects.

    Returns
    -------
    ndarray
        An ordinary array. It and its slices cross to the workers of `Processes` as a name; what a worker writes
        is seen here. The memory is given back when the last array on it goes, or when this process ends.

    Raises
    ------
    OSError
        If the system has not that much shared memory.
    TypeError
        If `dtype` holds Python objects.

    Examples
    --------
    >>> import parcount as pc
    >>> a = pc.shared_array(4)
    >>> a
    array([0, 0, 0, 0])
    """
    dtype = np.dtype(dtype)
    if dtype.hasobject:
        raise TypeError(f"an array of {dtype} holds pointers, which mean nothing in another process")
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    size = math.prod(shape) * dtype.itemsize
    if size == 0:
        return np.zeros(shape, dtype)
    return np.asarray(Block(size))[:size].view(dtype).reshape(shape)


def block_of(array: NDArray[Any]) -> Block | None:
    """The shared block that an array lies in, if it lies in one."""
    start = address(array)
    for reference in _blocks.valuerefs():  # `values` may not meet another thread that makes a block
        block = reference()
        if block is not None and block.address <= start < block.address + block.size:
            return block
    return None


def address(array: NDArray[Any]) -> int:
    """Where an array's first element lies."""
    where: int = array.__array_interface__["data"][0]
    return where


def open_block(name: str, *, lasting: bool) -> Block:
    """The block of that name, mapped once however often it is asked for."""
    with _opening:
        return _blocks.get(name) or Block(name=name, lasting=lasting)


_opening = Lock()


def _renew_lock() -> None:
    global _opening
    _opening = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)  # another thread of the parent may have held it


_name_prefix = f"pc-{token_hex(4)}"
_numbers = count()


def name_prefix_for_worker() -> str:
    """What the names of a new worker's blocks are to begin with."""
    return f"{_name_prefix}-{token_hex(4)}"


def set_name_prefix(name_prefix: str) -> None:
    """Begin the names of the blocks that this process makes with `name_prefix`."""
    global _name_prefix
    _name_prefix = name_prefix


def sweep_prefix(name_prefix: str) -> None:
    """Unlink what a worker that has ended left behind: results that it made and nobody received.

    Where blocks cannot be listed, which is everywhere but on Linux, the resource tracker does so when the caller ends.
    """
    for path in Path("/dev/shm").glob(f"{name_prefix}-*"):
        path.unlink(missing_ok=True)
        # Only what is registered can be unregistered, and a worker may be killed before it has registered its block.
        resource_tracker.register(f"/{path.name}", "shared_memory")
        resource_tracker.unregister(f"/{path.name}", "shared_memory")


def _create(size: int) -> SharedMemory:
    while True:
        # A forked copy of this process that is none of our workers uses the same names.
        with suppress(FileExistsError):
            return SharedMemory(f"{_name_prefix}-{next(_numbers)}", create=True, size=size)


def reserve(descriptor: int, size: int) -> None:
    """Take the pages now, so that a full /dev/shm is an error here and not a SIGBUS later.

    Parameters
    ----------
    descriptor : int
        Of the file in shared memory; negative if there is none.
    size : int
        Bytes.

    Raises
    ------
    OSError
        If there is no room (``ENOSPC``).
    """
    allocate: Callable[[int, int, int], None] | None = getattr(os, "posix_fallocate", None)
    if allocate is not None and descriptor >= 0:
        try:
            allocate(descriptor, 0, size)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                return  # a file system that cannot reserve: as before
            raise _no_room(size) from error


def _fill(memory: SharedMemory, descriptor: int, content: memoryview) -> None:
    """Write the bytes that a block begins with.

    By the system where it can: to map the pages and to fault in each took twice as long (``bench/test_transport.py``).
    """
    if descriptor < 0 or not hasattr(os, "pwrite"):
        assert memory.buf is not None
        memory.buf[: content.nbytes] = content
        return
    written = 0
    while written < content.nbytes:
        try:
            written += os.pwrite(descriptor, content[written:], written)
        except OSError as error:
            raise _no_room(content.nbytes) if error.errno == errno.ENOSPC else error from error


def _no_room(size: int) -> OSError:
    return OSError(errno.ENOSPC, f"no room for {size} bytes of shared memory (/dev/shm in a container: --shm-size)")


def _unlink(memory: SharedMemory, owner: int | None) -> None:
    if owner == os.getpid():  # not in a forked child, whose copy of the owner's finalizers runs too
        with suppress(FileNotFoundError):
            memory.unlink()
