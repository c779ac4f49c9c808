"""`CounterArray`: many cells, counted by key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import index
from typing import Any, Self, SupportsIndex, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from parcount._native.counters import Cells, resolve_indices
from parcount.counters.scalar import integer, refuse_to_travel
from parcount.counters.shared_base import SharedBase
from parcount.kernels.add_at import added
from parcount.kernels.blocks import blocks, flat
from parcount.kernels.job import table
from parcount.shm.segment import create

SHOWN = 10
"""Cells up to which all are shown."""


class CounterArray(SharedBase, Cells):
    """Cells of 64 bits that many threads, or processes, count into at once, each by atomic additions.

    To read it is to copy it: what is read is exact cell by cell, while others count on.

    Parameters
    ----------
    n : int
        How many cells; all are zero.
    shared : bool, optional
        Whether they lie in shared memory: the array is then pickled by its name, owned and closed as a `SharedCounter`
        is. Otherwise it does not leave its process.
    name : str, optional
        By which other processes can `attach` it, if it is shared; one that nobody else uses by default.

    Raises
    ------
    FileExistsError
        If the name is in use.
    MemoryError, OSError
        If there is no room for as many cells.

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
            raise ValueError(f"an array has no {n} cells")
        if name is not None and not shared:
            raise ValueError("a name is for an array in shared memory: shared=True")
        if shared:
            self._own(create(self._kind, n, name=name))
        else:
            self._segment = None
            self._use_memory(table(n))

    def add_at(self, indices: ArrayLike, n: SupportsIndex = 1) -> None:
        """Add to the cells at `indices`, to each as often as it is named; from many threads or processes at once.

        Parameters
        ----------
        indices : array_like of int, of any integer dtype
            Which; negative ones from the end.
        n : int, optional
            How much each time.

        Raises
        ------
        IndexError
            If an index is that of no cell; nothing has been added then.
        TypeError
            If `indices` are no integers.
        OverflowError
            If a cell would need more than 64 bits. What this call had added until then is taken back.

        Notes
        -----
        O(len(indices)) time, and memory of at most 10 bytes a cell. As many indices as there are cells, or more, are
        counted into a table of this call's own, whose counts are then added; fewer are added one by one. The GIL is
        released throughout. Input that is not contiguous or not in native byte order is converted 2**18 elements at a
        time. Another thread that changes `indices` meanwhile makes the counts wrong, but nothing outside is written.

        Examples
        --------
        >>> import parcount as pc
        >>> c = pc.CounterArray(3)
        >>> c.add_at([0, 2, 2], 5)
        >>> c.values()
        array([ 5,  0, 10])
        """
        by = integer(n)
        keys = np.asarray(indices)
        if not keys.size and not isinstance(indices, np.ndarray):
            return  # an empty list is one of floats
        if keys.dtype.kind not in "iu":
            raise TypeError(f"indices are integers, not {keys.dtype}")
        keys = flat(keys, "K")
        if len(keys) < len(self):
            self._add_each(self._places(keys), by)
        else:
            self._add_counts(added([keys], None, len(self)), by)

    def _places(self, keys: NDArray[Any]) -> NDArray[np.int64]:
        """Which cells the keys mean: a copy, which nobody else changes after it was looked at."""
        found = np.empty(len(keys), np.int64)
        start = 0
        for (block,) in blocks([keys], [keys.dtype]):
            inside = resolve_indices(block, found[start : start + len(block)], len(self))
            if inside < len(block):
                raise IndexError(f"index {block[inside]} is out of bounds for axis 0 with size {len(self)}")
            start += inside
        return found

    def reset(self) -> NDArray[np.int64]:
        """Set every cell to zero; return what was taken away. What others add meanwhile is in one or the other."""
        taken = np.empty(len(self), np.int64)
        self._take(taken)
        return taken

    def values(self) -> NDArray[np.int64]:
        """A copy of the cells as they are now, one read after another."""
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
            raise ValueError("what is read of a CounterArray is a copy")
        return self.values() if dtype is None else self.values().astype(dtype)

    def __repr__(self) -> str:
        named = f" {self.name!r}" if self.name else ""
        if self._closed:
            return f"<{type(self).__name__}{named}, closed>"
        shown = np.array2string(self.values(), threshold=SHOWN)
        return f"<{type(self).__name__}{named} of {len(self)} cells: {shown}>"

    def __reduce__(self) -> tuple[Callable[[str], Self], tuple[str]]:
        if self._segment is None:
            refuse_to_travel(self)
        return self._by_name()
