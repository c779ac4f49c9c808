"""`LocalCounter`: one Python integer for each thread, in `threading.local`."""

from __future__ import annotations

from operator import index
from threading import Lock, get_ident, local
from typing import NoReturn, SupportsIndex

from parcount._native.counters import as_int64
from parcount.counters.after_fork import renew_locks_in_children
from parcount.counters.per_thread import PerThread
from parcount.counters.scalar import Scalar, refuse_pickling

FULL, NEAR = 1 << 40, 1 << 62
"""See native/shards.h."""


class LocalCounter(Scalar):
    """A counter with one Python integer for each thread, in `threading.local`; reading adds them up.

    `ShardedCounter` is the same in C. What a thread has counted stays when it ends.

    Parameters
    ----------
    value : int, optional
        Initial value.

    Raises
    ------
    TypeError, OverflowError
        If `value` is not an integer, or does not fit into 64 bits.

    Notes
    -----
    An addition takes O(1) time and no lock; `value` and `reset` take O(threads) time under a lock. It needs the GIL, as
    Python code does. Memory is O(threads). As with `LockedCounter`, signal handlers and finalizers must not use it.

    Examples
    --------
    >>> import parcount as pc
    >>> c = pc.LocalCounter()
    >>> c.increment()
    >>> c.local().add(5)
    >>> c.value
    6
    """

    __slots__ = ("_local", "_sum")

    def __init__(self, value: SupportsIndex = 0) -> None:
        self._sum = _Sum(as_int64(value))
        # Outside the sum, to which the handles refer: the values of a `threading.local` must not refer to it.
        self._local = local()

    def increment(self) -> None:
        """Add 1. Equivalent to ``add(1)``."""
        self.local().increment()

    def add(self, n: SupportsIndex, /) -> None:
        """Add `n`. `OverflowError` if the new value does not fit into 64 bits."""
        self.local().add(n)

    @property
    def value(self) -> int:
        """The current value."""
        return self._sum.read()

    def reset(self) -> int:
        """Set to zero; return the value before."""
        return self._sum.take()

    def local(self) -> LocalHandle:
        """Return the calling thread's handle."""
        try:
            handle: LocalHandle = self._local.handle
        except AttributeError:
            handle = self._local.handle = self._sum.new_handle()
        return handle


class LocalHandle:
    """The cell of one thread. Calls in other threads add to the base, under the lock."""

    __slots__ = ("__weakref__", "_cell", "_sum", "_thread")

    def __init__(self, sum: _Sum, cell: list[int]) -> None:  # noqa: A002
        self._sum = sum
        self._cell = cell
        self._thread = get_ident()

    def increment(self) -> None:
        """Add 1."""
        self.add(1)

    def add(self, n: SupportsIndex, /) -> None:
        """Add `n`."""
        n = index(n)
        mine = self._thread == get_ident()
        count = self._cell[0] + n
        if mine and -FULL <= count <= FULL and not self._sum.near:
            self._cell[0] = count
        else:
            self._sum.add(n, self._cell if mine else None)

    def __reduce__(self) -> NoReturn:
        refuse_pickling(self)


class _Sum:
    """The base value and the cells of the threads."""

    def __init__(self, base: int) -> None:
        self.cells: PerThread[list[int]] = PerThread()
        self.base = base
        self.near = abs(base) > NEAR
        self._renew_locks()
        renew_locks_in_children(self)

    def _renew_locks(self) -> None:
        self._lock = Lock()

    def new_handle(self) -> LocalHandle:
        cell = [0]
        handle = LocalHandle(self, cell)
        with self._lock:
            self.cells.add(handle, cell)
            if self.cells.crowded:
                self._fold()
        return handle

    def add(self, n: int, own: list[int] | None) -> None:
        """Add to the base; move the count of the calling thread's `own` cell there too.

        Without a GIL, the check does not see sums that other threads are about to write into their cells. So the total
        may exceed 64 bits; it is exact nevertheless.
        """
        with self._lock:
            as_int64(self._total() + n)
            if own is not None:
                self._change(own[0])
                own[0] = 0
            self._change(n)

    def read(self) -> int:
        with self._lock:
            self._fold()
            return self._total()

    def take(self) -> int:
        with self._lock:
            total = self._total()
            self._change(-total)
            return total

    def _total(self) -> int:
        return self.base + sum(cell[0] for cell in self.cells.all())

    def _change(self, by: int) -> None:
        self.base += by
        self.near = abs(self.base) > NEAR

    def _fold(self) -> None:
        """Move the cells of ended threads to the base."""
        for cell in self.cells.take_ended():
            self._change(cell[0])
