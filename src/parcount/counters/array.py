"""`CounterArray`: an array of 64-bit cells with atomic additions."""

from __future__ import annotations

from collections.abc import Iterator
from operator import index
from typing import Any, SupportsIndex, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from parcount._native.counters import Cells, as_int64, resolve_indices
from parcount.counters.shared_base import SharedBase
from parcount.kernels.add_at import add_at
from parcount.kernels.blocks import blocks, flat
from parcount.kernels.job import table
from parcount.shm.segment import create

SHOWN = 10
"""Number of cells up to which the repr shows all."""


class CounterArray(SharedBase, Cells):
    """An array of 64-bit cells to which threads, or processes, add concurrently by atomic operations.

    Cells are read one after another, so a copy of several cells may contain only some of the concurrent additions.

    Parameters
    ----------
    n : int
        Number of cells; all are zero.
    shared : bool, optional
        Whether the cells are in shared memory. The array is then pickled, owned and closed like a `SharedCounter`.
    name : str, optional
        Name by which other processes `attach` it, if it is shared; a random one by default.

    Raises
    ------
    TypeError
        If `n` is not an integer, or `name` is not a str.
    ValueError
        If `n` is negative, the name is not valid, or there is a name without ``shared=True``.
    FileExistsError
        If the name is in use.
    MemoryError, OSError
        If there is not enough memory.

    Notes
    -----
    Memory is 8 bytes a cell. Cells are adjacent, so threads that add to neighbouring cells contend for a cache line.
    `add` and reading one cell take O(1) time; `add_at`, `reset`, `values` and slices release the GIL.

    Examples
    --------
    >>> import parcount as pc
    >>> c = pc.CounterArray(4)
    >>> c.add(2)
    1
    >>> c.add_at([0, 2, -1, 2])
    >>> c
    <CounterArray of 4 cells: [1 0 3 1]>
    >>> c[2], len(c)
    (3, 4)
    """

    __slots__ = ("_segment",)

    _kind = "CounterArray"

    def __init__(self, n: SupportsIndex, shared: bool = False, *, name: str | None = None) -> None:
        n = index(n)
        if n < 0:
            raise ValueError(f"n must not be negative, is {n}")
        if name is not None and not shared:
            raise ValueError("a name needs shared=True")
        if shared:
            self._own(create(self._kind, n, name=name))
        else:
            self._segment = None
            self._use_memory(table(n))

    def add_at(self, indices: ArrayLike, n: SupportsIndex = 1) -> None:
        """Add to the cells at `indices`, once for each occurrence.

        Parameters
        ----------
        indices : array_like of int
            The cells; negative values count from the end. Any integer dtype.
        n : int, optional
            The amount for each index; may be negative.

        Raises
        ------
        IndexError
            If an index is out of bounds.
        TypeError
            If `indices` or `n` are not integers.
        OverflowError
            If a value would not fit into 64 bits.
        ValueError
            If the array is closed.

        Notes
        -----
        O(len(indices)) time without the GIL, and at most 10 bytes of memory a cell. If there are at least as many
        indices as cells, they are counted into a private table, whose counts are then added. After an exception or an
        interruption, what this call has added is subtracted again. Input that is not contiguous or not in native byte
        order is converted 2**18 elements at a time. If another thread changes `indices` meanwhile, counts may be wrong,
        but nothing else is overwritten.

        Examples
        --------
        >>> import parcount as pc
        >>> c = pc.CounterArray(3)
        >>> c.add_at([0, 2, 2], 5)
        >>> c.values()
        array([ 5,  0, 10])
        """
        by = as_int64(n)
        keys = np.asarray(indices)
        if not keys.size and not isinstance(indices, np.ndarray):
            return  # NumPy takes an empty list as float64
        if keys.dtype.kind not in "iu":
            raise TypeError(f"indices must be integers, not {keys.dtype}")
        keys = flat(keys, "K")
        if len(keys) < len(self):
            self._add_all(self._indices(keys), None, by)
        else:
            counts = table(len(self))
            add_at(counts, keys)
            self._add_all(None, counts, by)

    def _indices(self, keys: NDArray[Any]) -> NDArray[np.int64]:
        """The keys as indices from 0 on. The copy cannot be changed by other threads after the check."""
        found = np.empty(len(keys), np.int64)
        start = 0
        for (block,) in blocks([keys], [keys.dtype]):
            inside = resolve_indices(block, found[start : start + len(block)], len(self))
            if inside < len(block):
                raise IndexError(f"index {block[inside]} is out of bounds for axis 0 with size {len(self)}")
            start += inside
        return found

    def reset(self) -> NDArray[np.int64]:
        """Set all cells to zero; return their values before. No concurrent addition is lost."""
        taken = np.empty(len(self), np.int64)
        self._take(taken)
        return taken

    def values(self) -> NDArray[np.int64]:
        """A copy of the cells."""
        return self[:]

    @overload
    def __getitem__(self, i: SupportsIndex) -> int: ...
    @overload
    def __getitem__(self, i: slice) -> NDArray[np.int64]: ...
    def __getitem__(self, i: SupportsIndex | slice) -> int | NDArray[np.int64]:
        if not isinstance(i, slice):
            return self._get(i)
        chosen = range(len(self))[i]
        found = np.empty(len(chosen), np.int64)
        self._read(found, chosen.start, chosen.step)
        return found

    def __iter__(self) -> Iterator[int]:
        found: list[int] = self.values().tolist()
        return iter(found)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("reading a CounterArray needs a copy")
        return self.values() if dtype is None else self.values().astype(dtype)

    def __repr__(self) -> str:
        named = f" {self.name!r}" if self.name else ""
        if self._closed:
            return f"<{type(self).__name__}{named}, closed>"
        shown = np.array2string(self.values(), threshold=SHOWN)
        return f"<{type(self).__name__}{named} of {len(self)} cells: {shown}>"
