"""Arrays in named shared memory, which other processes map by name."""

from __future__ import annotations

import ctypes
import math
import os
import weakref
from contextlib import suppress
from itertools import count
from mmap import mmap
from operator import index
from pathlib import Path
from secrets import token_hex
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from parcount.shm import mapping


class Block:
    """Named shared memory that lives as long as the arrays in it.

    Creates a block of `size` bytes, which are zero or the `content`; or opens the existing block `name`. Arrays refer
    to it by ``__array_interface__``. The process that creates it unlinks it when the last of its arrays is freed, or
    when the process ends.

    A `lasting` block keeps its name as long as its arrays exist, so that they can be sent by name. The name of a copy
    exists until the call ends for which it was made, and the name of a gift until it is received.
    """

    def __init__(
        self, size: int = 0, name: str | None = None, *, content: memoryview | None = None, lasting: bool = True
    ) -> None:
        if name is None:
            self.name, self._mapped = _create(size, b"" if content is None else content)
            self._unlink = mapping.unlink_with(self, self.name)
        else:
            self.name, self._mapped = name, mapping.open_existing(name)
        self.size = len(self._mapped)
        self.lasting = lasting
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self._mapped))
        self.__array_interface__ = {
            "version": 3,
            "shape": (self.size,),
            "typestr": "|u1",
            "data": (self.address, False),
        }
        _blocks[self.name] = self

    def give_away(self) -> None:
        """Leave the unlinking to the receiver."""
        self._unlink.detach()

    def unlink(self) -> None:
        """Remove the name; the memory is freed with the last array."""
        mapping.unlink(self.name)


_blocks: weakref.WeakValueDictionary[str, Block] = weakref.WeakValueDictionary()
"""The blocks that this process has mapped, by name."""


def shared_array(shape: int | tuple[int, ...], dtype: DTypeLike = np.int64) -> NDArray[Any]:
    """Create an array of zeros that worker processes use without a copy.

    Parameters
    ----------
    shape : int or tuple of int
        Shape of the array.
    dtype : data-type, optional
        Data type; must not contain Python objects.

    Returns
    -------
    ndarray
        An ordinary array in shared memory. It and its slices are sent to the workers of `Processes` by name, and what a
        worker writes is visible here. The memory is freed with the last array in it, or when this process ends, even by
        a signal.

    Raises
    ------
    OSError
        If there is not enough shared memory.
    TypeError
        If `dtype` contains Python objects.
    ValueError
        If a dimension is negative.

    Notes
    -----
    All pages are reserved at once: O(size), with the GIL held. Access is not synchronised: ``a[0] += 1`` in two workers
    loses counts. Use `CounterArray` with ``shared=True`` for that.

    Examples
    --------
    >>> import parcount as pc
    >>> a = pc.shared_array(4)
    >>> a
    array([0, 0, 0, 0])
    """
    dtype = np.dtype(dtype)
    if dtype.hasobject:
        raise TypeError(f"an array of {dtype} contains pointers, which are not valid in another process")
    dimensions = tuple(map(index, (shape,) if isinstance(shape, int | np.integer) else shape))
    if min(dimensions, default=0) < 0:
        raise ValueError("negative dimensions are not allowed")
    size = math.prod(dimensions) * dtype.itemsize
    if size == 0:
        return np.zeros(dimensions, dtype)
    return np.asarray(Block(size))[:size].view(dtype).reshape(dimensions)


def block_of(array: NDArray[Any]) -> Block | None:
    """The block that contains an array's first element, if any."""
    start = address(array)
    for reference in _blocks.valuerefs():  # iterating over `values` fails when another thread creates a block
        block = reference()
        if block is not None and block.address <= start < block.address + block.size:
            return block
    return None


def address(array: NDArray[Any]) -> int:
    """The address of an array's first element."""
    return int(array.__array_interface__["data"][0])


def open_block(name: str, *, lasting: bool) -> Block:
    """The block of that name; each process maps it once."""
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
    """A prefix for the names of a new worker's blocks. It begins with the prefix of this process."""
    return f"{_name_prefix}-{token_hex(4)}"


def set_name_prefix(name_prefix: str) -> None:
    """Set the prefix of the blocks that this process creates."""
    global _name_prefix
    _name_prefix = name_prefix


def sweep_prefix(name_prefix: str) -> None:
    """Unlink the results that a worker created before it ended, and that were not received.

    Other systems than Linux do not list shared memory; there the resource tracker unlinks it when this process ends.
    """
    for path in Path("/dev/shm").glob(f"{name_prefix}-*"):
        mapping.unlink(path.name)


def _create(size: int, content: memoryview | bytes) -> tuple[str, mmap]:
    while True:
        name = f"{_name_prefix}-{next(_numbers)}"
        with suppress(FileExistsError):  # created by a forked copy of this process that is not a worker
            return name, mapping.create(name, size, content)
