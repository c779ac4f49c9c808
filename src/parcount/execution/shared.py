"""Arrays in named shared memory, and the pickling that sends them to other processes by name.

An array that lies in shared memory travels as its name and place; the process that receives it sees the same
cells. Any other large array is copied once, into a block of its own that lasts as long as the call. Small ones go
through the pipe with everything else.
"""

from __future__ import annotations

import ctypes
import errno
import io
import math
import os
import pickle
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

COPIED_FROM = 1 << 20
"""Bytes from which an array is copied into a block of its own rather than through a pipe.

Below, the pipe is faster: to make a block and to fault its pages in costs more than two copies through the kernel
(``bench/test_transport.py``; at 64 kB the pipe takes less than half as long, at 16 MB more than twice).
"""


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
    lasting : bool
        Whether its name lasts as long as its arrays do, so that it can be sent. That of a copy ends with the call
        that it was made for, that of a gift when it is received.

    Raises
    ------
    OSError
        If the system has not that much shared memory (``ENOSPC``): now, rather than by a bus error when a page
        is first touched.
    """

    def __init__(self, size: int = 0, name: str | None = None, *, lasting: bool = True) -> None:
        memory = _create(size) if name is None else SharedMemory(name)
        if name is None:
            try:
                reserve(getattr(memory, "_fd", -1), size)
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

    def array(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], offset: int, strides: tuple[int, ...]
    ) -> NDArray[Any]:
        """The array that lies at `offset`."""
        return np.ndarray(shape, dtype, np.asarray(self), offset, strides)


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
    address = array.__array_interface__["data"][0]
    for block in list(_blocks.values()):
        if block.address <= address < block.address + block.size:
            return block
    return None


def dumps(value: Any, *, brought: Sequence[Block] | None = None) -> tuple[bytes, list[Block]]:
    """Pickle `value` for another process.

    Parameters
    ----------
    value : object
        Anything that pickles.
    brought : sequence of Block, optional
        Where `value` is a worker's answer: the lasting blocks that its task brought. The caller has no others, and they
        might end before it opens them: arrays elsewhere are copied, into blocks that become the caller's to unlink.

    Returns
    -------
    message : bytes
        For `loads`.
    copies : list of Block
        Those that arrays were copied into: to be kept until the receiver has done with them, unless given away.
    """
    buffer = io.BytesIO()
    pickler = _Pickler(buffer, brought)
    pickler.dump(value)
    if brought is not None:
        for block in pickler.copies:
            block.give_away()
    return buffer.getvalue(), pickler.copies


def loads(message: bytes) -> tuple[Any, list[Block]]:
    """Unpickle what `dumps` made in another process.

    Returns
    -------
    value : object
        Its arrays lie in shared memory where they did at the sender's.
    lasting : list of Block
        The blocks behind shared arrays, as opposed to copies made for this message. A receiver that keeps them spares
        the next message mapping them again.
    """
    unpickler = _Unpickler(io.BytesIO(message))
    value = unpickler.load()
    return value, unpickler.lasting


class _Pickler(pickle.Pickler):
    """Sends arrays in shared memory by name, and copies other large ones there."""

    def __init__(self, file: io.BytesIO, brought: Sequence[Block] | None) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self.brought = brought
        self.copies: list[Block] = []

    def persistent_id(self, obj: Any) -> Any:
        if type(obj) is not np.ndarray or obj.dtype.hasobject or obj.size == 0:
            return None
        block, how = block_of(obj), "lasting"
        writeable = obj.flags.writeable
        if block is None or not (block.lasting if self.brought is None else block in self.brought):
            if obj.nbytes < COPIED_FROM:
                return None
            block, how = Block(obj.nbytes, lasting=False), "copy" if self.brought is None else "gift"
            self.copies.append(block)
            copy = np.asarray(block)[: obj.nbytes].view(obj.dtype).reshape(obj.shape)
            copy[...] = obj
            obj = copy
        offset = obj.__array_interface__["data"][0] - block.address
        return how, block.name, obj.shape, obj.dtype, offset, obj.strides, writeable


class _Unpickler(pickle.Unpickler):
    """Opens the blocks that arrays were sent in."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.lasting: list[Block] = []

    def persistent_load(self, pid: Any) -> NDArray[Any]:
        how, name, shape, dtype, offset, strides, writeable = pid
        block = _blocks.get(name) or Block(name=name, lasting=how == "lasting")
        if how == "lasting":
            self.lasting.append(block)
        elif how == "gift":
            block.unlink()
        array = block.array(shape, dtype, offset, strides)
        array.flags.writeable = writeable
        return array


_mark = f"pc-{token_hex(4)}"
_numbers = count()


def mark_for_worker() -> str:
    """What the names of a new worker's blocks are to begin with."""
    return f"{_mark}-{token_hex(4)}"


def use_mark(mark: str) -> None:
    """Begin the names of the blocks that this process makes with `mark`."""
    global _mark
    _mark = mark


def sweep(mark: str) -> None:
    """Unlink what a worker that has ended left behind: results that it made and nobody received.

    Where blocks cannot be listed, which is everywhere but on Linux, the resource tracker does so when the caller ends.
    """
    for path in Path("/dev/shm").glob(f"{mark}-*"):
        path.unlink(missing_ok=True)
        # Only what is registered can be unregistered, and a worker may be killed before it has registered its block.
        resource_tracker.register(f"/{path.name}", "shared_memory")
        resource_tracker.unregister(f"/{path.name}", "shared_memory")


def _create(size: int) -> SharedMemory:
    while True:
        # A forked copy of this process that is none of our workers uses the same names.
        with suppress(FileExistsError):
            return SharedMemory(f"{_mark}-{next(_numbers)}", create=True, size=size)


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
            raise OSError(
                errno.ENOSPC, f"no room for {size} bytes of shared memory (/dev/shm in a container: --shm-size)"
            ) from error


def _unlink(memory: SharedMemory, owner: int | None) -> None:
    if owner == os.getpid():  # not in a forked child, whose copy of the owner's finalizers runs too
        with suppress(FileNotFoundError):
            memory.unlink()
