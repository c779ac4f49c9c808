"""Serialisation of values for other processes: pickle, with special treatment of arrays.

An array in shared memory (`shared_array`) is sent as the block's name and an offset, one in a memory-mapped file as the
file's name and an offset, so the receiver sees the same memory. Another array is pickled with the rest or, if it is
large, sent out of band after the message, or copied once into a shared memory block that lasts as long as the call.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import local
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parcount.execution.pickling import ByValue, Pickler, is_global
from parcount.shm import memmap
from parcount.shm.blocks import Block, address, block_of, open_block

OUT_OF_BAND_MIN_BYTES = 1 << 15
"""Bytes from which an array is sent out of band, which saves copies, rather than pickled into the message."""

SHARED_COPY_MIN_BYTES = 1 << 20
"""Bytes from which an array is copied into a shared memory block rather than sent through the pipe.

Below, the pipe is faster: creating a block and faulting in its pages costs more than two copies through the kernel
(``parcount study transports``; ``bench/test_transport.py``).
"""

SIMPLE = frozenset({type(None), bool, int, float, complex, str, bytes})
"""Types of values that contain no others: pickling these as usual takes half the time."""

NEVER = 1 << 62


@dataclass(frozen=True)
class Packing:
    """How values are pickled: the bytes from which arrays outside shared memory and mapped files are not."""

    out_of_band_min: int = NEVER  # sent out of band
    shared_copy_min: int = NEVER  # copied into shared memory
    forked: bool = False  # whether workers have the main module of this process
    classes: dict[type, ByValue] | None = None  # those that have been pickled by value, for all messages of a call


@dataclass
class Message:
    """A pickled value."""

    data: bytes = b""
    out_of_band: list[Any] = field(default_factory=list)  # the memory of arrays, sent after the data

    @property
    def nbytes(self) -> int:
        """Its size in bytes."""
        return len(self.data) + sum(memoryview(buffer).nbytes for buffer in self.out_of_band)


def dumps(value: Any, packing: Packing, *, received: Sequence[Any] | None = None) -> tuple[Message, list[Block]]:
    """Pickle `value` for another process.

    Parameters
    ----------
    value : object
        Any picklable object.
    packing : Packing
        How its arrays are sent.
    received : sequence of Block and memmap, optional
        In a worker: the lasting blocks and files of the task. Only arrays in these are sent by name, because others
        could be removed before the caller opens them. The caller unlinks the blocks of copies.

    Returns
    -------
    message : Message
        For `loads`.
    copies : list of Block
        The blocks into which arrays were copied. Unless `received` is given, keep them until the receiver has finished.
    """
    if type(value) in SIMPLE:
        return Message(pickle.dumps(value, pickle.HIGHEST_PROTOCOL)), []
    buffer = io.BytesIO()
    pickler = _Pickler(buffer, packing, received)
    pickler.dump(value)
    if received is not None:
        for block in pickler.copies:
            block.give_away()
    return Message(buffer.getvalue(), pickler.out_of_band), pickler.copies


def loads(message: Message) -> tuple[Any, list[Any]]:
    """Unpickle what `dumps` made in another process.

    Returns
    -------
    value : object
        The value. Arrays that the sender had in shared memory or in a file are in the same memory.
    lasting : list of Block and memmap
        The memory of those arrays. If the receiver keeps it, the next message need not map it again.
    """
    arrays, outer = _Arrays(message), getattr(_own, "arrays", None)
    _own.arrays = arrays
    try:
        return pickle.loads(message.data), arrays.lasting
    finally:
        _own.arrays = outer  # a __setstate__ may load another message


def loads_bytes(data: bytes) -> Any:
    """Unpickle the data of a message that has no more."""
    return loads(Message(data))[0]


class _Pickler(Pickler):
    """Sends arrays in shared memory or mapped files by name, and other large ones according to `Packing`."""

    def __init__(self, file: Any, packing: Packing, received: Sequence[Any] | None = None) -> None:
        super().__init__(file, forked=packing.forked, to_caller=received is not None, classes=packing.classes)
        self.packing = packing
        self.received = received
        self.copies: list[Block] = []
        self.out_of_band: list[Any] = []

    def reducer_override(self, obj: Any) -> Any:
        """Reduce arrays, and what is pickled by value."""
        if _is_plain(obj):
            place = self._named_place(obj) or self._moved_place(obj)
            return NotImplemented if place is None else (_restore, place)
        return self.reduce_global(obj) if is_global(obj) else NotImplemented

    def reduce_in_value(self, obj: Any) -> Any:
        """Reduce an array in the variable of a function, say, to its name."""
        place = self._named_place(obj) if _is_plain(obj) else None
        return NotImplemented if place is None else (_restore, place)

    def _named_place(self, obj: NDArray[Any]) -> tuple[Any, ...] | None:
        """The name of the array's memory and the layout in it; None if it has no name."""
        block = block_of(obj)
        if block is not None and (block.lasting if self.received is None else block in self.received):
            return ("lasting", block.name, *_layout(obj, block.address))
        if (place := memmap.file_range_of(obj)) and (self.received is None or self._came_from(place)):
            return ("file", place, *_layout(obj, address(obj) - place.offset))
        return None

    def _moved_place(self, obj: NDArray[Any]) -> tuple[Any, ...] | None:
        """Where a large array is moved to, and its layout; None if it is pickled as usual."""
        if obj.nbytes < min(self.packing.out_of_band_min, self.packing.shared_copy_min):
            return None
        straight = obj if obj.flags.forc else np.ascontiguousarray(obj)
        content = straight.ravel(order="K").view(np.uint8).data
        layout = straight.shape, straight.dtype, 0, straight.strides, obj.flags.writeable
        if obj.nbytes >= self.packing.shared_copy_min:
            block = Block(obj.nbytes, content=content, lasting=False)
            self.copies.append(block)
            return ("copy" if self.received is None else "gift", block.name, *layout)
        self.out_of_band.append(content)
        return ("out_of_band", len(self.out_of_band) - 1, *layout)

    def _came_from(self, place: memmap.FileRange) -> bool:
        received = self.received or ()
        return any(isinstance(one, np.memmap) and str(one.filename) == place.filename for one in received)


class _Arrays:
    """Opens the blocks and files of arrays that were sent by name."""

    def __init__(self, message: Message) -> None:
        self.out_of_band = message.out_of_band
        self.lasting: list[Any] = []

    def open(
        self, how: str, where: Any, shape: tuple[int, ...], dtype: Any, offset: int, strides: Any, writeable: bool
    ) -> NDArray[Any]:
        """Return the array at a place."""
        if how == "out_of_band":
            memory = self.out_of_band[where]
        elif how == "file":
            memory = memmap.open_range(where)
            self.lasting.append(memory)
        else:
            block = open_block(where, lasting=how == "lasting")
            memory = np.asarray(block)
            if how == "lasting":
                self.lasting.append(block)
            elif how == "gift":
                block.unlink()
        array: NDArray[Any] = np.ndarray(shape, dtype, memory, offset, strides)
        if not writeable:
            array.flags.writeable = False
        return array


_own = local()
"""The arrays of the message that this thread unpickles."""


def _restore(*place: Any) -> NDArray[Any]:
    array: NDArray[Any] = _own.arrays.open(*place)
    return array


class Checker(_Pickler):
    """Pickles values as `dumps` does, but no arrays, and forgets them."""

    def __init__(self, file: Any, *, forked: bool = False, received: Sequence[Any] | None = None) -> None:
        super().__init__(file, Packing(forked=forked), received)

    def reducer_override(self, obj: Any) -> Any:
        """Skip arrays."""
        if _is_plain(obj):
            return int, ()
        return self.reduce_global(obj) if is_global(obj) else NotImplemented


def _is_plain(obj: Any) -> bool:
    return type(obj) in (np.ndarray, np.memmap) and not obj.dtype.hasobject and obj.size > 0


def _layout(array: NDArray[Any], start: int) -> tuple[Any, ...]:
    """The layout of an array relative to the address `start`."""
    return array.shape, array.dtype, address(array) - start, array.strides, array.flags.writeable
