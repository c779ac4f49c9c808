"""Arrays in the form that the compiled loops need: contiguous, aligned, in native byte order.

Other arrays are converted a block at a time, so no call copies its whole input.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

BLOCK = 1 << 18
"""Elements that are converted at a time: they are still in cache when they are counted."""


class Flat:
    """A one-dimensional view of an array that NumPy cannot flatten without a copy.

    It has a length, a dtype, and slices, which are `Flat` too; ``np.asarray`` copies a slice.

    Parameters
    ----------
    array : ndarray
        Of any strides.
    order : str
        ``"C"``, or ``"K"`` for the order in memory.
    start, stop : int, optional
        The elements, in that order.

    Examples
    --------
    >>> np.asarray(Flat(np.arange(6).reshape(2, 3)[:, ::2], "C")[1:])
    array([2, 3, 5])
    """

    def __init__(self, array: NDArray[Any], order: Literal["C", "K"], start: int = 0, stop: int | None = None) -> None:
        self.dtype = array.dtype
        self._array, self._order = array, order
        self._start, self._stop = start, array.size if stop is None else stop

    def __len__(self) -> int:
        return self._stop - self._start

    def __getitem__(self, part: slice) -> Flat:
        start, stop, step = part.indices(len(self))
        if step != 1:
            raise ValueError(f"the step of a slice must be 1, not {step}")
        return Flat(self._array, self._order, self._start + start, self._start + max(start, stop))

    @property
    def real(self) -> Flat:
        """The real parts."""
        return Flat(self._array.real, self._order, self._start, self._stop)

    @property
    def imag(self) -> Flat:
        """The imaginary parts."""
        return Flat(self._array.imag, self._order, self._start, self._stop)

    def every(self, step: int) -> NDArray[Any]:
        """A copy of every `step`-th element, in C order whatever the order of the view."""
        indices = np.unravel_index(np.arange(self._start, self._stop, step), self._array.shape)
        elements: NDArray[Any] = self._array[indices]
        return elements

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("this array cannot be flattened without a copy")
        flat = np.empty(len(self), self.dtype if dtype is None else dtype)
        if len(flat):
            done = 0
            pieces: Any = np.nditer(self._array, ["buffered", "external_loop", "ranged"], order=self._order)
            pieces.iterrange = self._start, self._stop
            for piece in pieces:
                flat[done : done + len(piece)] = piece
                done += len(piece)
        return flat

    def __reduce__(self) -> tuple[Any, ...]:
        return np.asarray, (np.asarray(self),)  # only the slice is sent to another process


def flat(array: NDArray[Any], order: Literal["C", "K"] = "C") -> NDArray[Any]:
    """A one-dimensional view of an array.

    Parameters
    ----------
    array : ndarray
        Of any strides.
    order : str, optional
        ``"K"`` for the order in memory, if the order does not matter.

    Returns
    -------
    ndarray or Flat
    """
    if array.ndim == 1:
        return array
    if array.flags.c_contiguous:
        return array.reshape(-1)
    if order == "K" and array.flags.f_contiguous:
        return array.T.reshape(-1)
    return Flat(array, order)  # type: ignore[return-value] # it has what the kernels use


def blocks(arrays: Sequence[NDArray[Any]], dtypes: Sequence[np.dtype[Any]]) -> Iterator[tuple[NDArray[Any], ...]]:
    """Iterate over one-dimensional arrays of one length in blocks that a compiled loop can read.

    Parameters
    ----------
    arrays : sequence of ndarray or Flat
        Of any strides, alignment and byte order.
    dtypes : sequence of dtype
        The dtypes that they are converted to.

    Yields
    ------
    tuple of ndarray
        The arrays themselves if none needs conversion, otherwise the next `BLOCK` elements of each.

    Examples
    --------
    >>> a = np.arange(6)
    >>> [piece.tolist() for piece, in blocks([a[::2]], [a.dtype])]
    [[0, 2, 4]]
    """
    size = len(arrays[0])
    native = [dtype.newbyteorder("=") for dtype in dtypes]
    if all(_ready(array, dtype) for array, dtype in zip(arrays, native, strict=True)):
        yield tuple(arrays)
        return
    for start in range(0, size, BLOCK):
        yield tuple(
            np.require(array[start : start + BLOCK], dtype, ["C", "A"])
            for array, dtype in zip(arrays, native, strict=True)
        )


def as_uint8(booleans: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Booleans as zeros and ones: a view, unless there are other bytes, which count as true.

    Examples
    --------
    >>> as_uint8(np.array([0, 1, 9], np.uint8).view(bool)).tolist()
    [0, 1, 1]
    """
    view = booleans.view(np.uint8)
    return view if view.max(initial=0) <= 1 else (view != 0).view(np.uint8)


def floating(array: NDArray[Any]) -> np.dtype[Any]:
    """The dtype in which values are compared with edges: float32 for float32, otherwise float64."""
    return np.dtype(np.float32 if array.dtype.type is np.float32 else np.float64)


def sample(array: NDArray[Any], size: int) -> NDArray[Any]:
    """At least `size` evenly spaced elements of a one-dimensional array; all if it has no more.

    Examples
    --------
    >>> sample(np.arange(10), 4)
    array([0, 2, 4, 6, 8])
    """
    step = max(1, len(array) // size)
    return array.every(step) if isinstance(array, Flat) else array[::step]


def _ready(array: NDArray[Any], dtype: np.dtype[Any]) -> bool:
    return isinstance(array, np.ndarray) and array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned
