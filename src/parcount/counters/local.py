"""`LocalCounter`: a Python integer for each thread, in `threading.local`."""

from __future__ import annotations

from operator import index
from threading import Lock, get_ident, local
from typing import NoReturn, SupportsIndex

from parcount.counters.after_fork import renew_locks_in_children
from parcount.counters.per_thread import Parts
from parcount.counters.scalar import Scalar, fitting, integer, refuse_to_travel

FULL = 1 << 40
"""A part that would be more than this is added to the base."""

NEAR = 1 << 62
"""The base up to which no sum needs to be compared with the limit: the parts of a million threads do not pass it."""


class LocalCounter(Scalar):
    """A Python integer for each thread, found by `threading.local`, and summed up when the counter is read.

    The textbook's other answer: no lock when counting, for no other thread writes there. `ShardedCounter` is this in C.
    What a thread has counted stays when it ends. As with `LockedCounter`, no signal handler and no finalizer may count.

    Parameters
    ----------
    value : int, optional
        Where to begin.

    Examples
    --------
    >>> import parcount as pc
    >>> c = pc.LocalCounter()
    >>> c.increment()
    >>> c.local().add(5)
    >>> c.value
    6
    """

    __slots__ = ("_here", "_sum")

    def __init__(self, value: SupportsIndex = 0) -> None:
        self._sum = _Sum(integer(value))
        # Not a part of the sum, to which the parts refer: what a `threading.local` holds must not hold that.
        self._here = local()

    def increment(self) -> None:
        """Add one."""
        self.local().increment()

    def add(self, n: SupportsIndex, /) -> None:
        """Add `n`."""
        self.local().add(n)

    @property
    def value(self) -> int:
        """What has been counted."""
        return self._sum.read()

    def reset(self) -> int:
        """Set to zero; return what was taken away."""
        return self._sum.take()

    def local(self) -> LocalPart:
        """A handle of the calling thread's own: its part."""
        try:
            part: LocalPart = self._here.part
        except AttributeError:
            part = self._here.part = self._sum.new_part()
        return part


class LocalPart:
    """What one thread has counted. In another's hands it adds to the base, under the lock."""

    __slots__ = ("__weakref__", "_cell", "_sum", "_thread")

    def __init__(self, sum: _Sum, cell: list[int]) -> None:  # noqa: A002
        self._sum = sum
        self._cell = cell
        self._thread = get_ident()

    def increment(self) -> None:
        """Add one."""
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
        refuse_to_travel(self)


class _Sum:
    """The base, and what each thread has in its part."""

    def __init__(self, base: int) -> None:
        self.cells: Parts[list[int]] = Parts()
        self.base = base
        self.near = abs(base) > NEAR
        self._renew_locks()
        renew_locks_in_children(self)

    def _renew_locks(self) -> None:
        self._lock = Lock()

    def new_part(self) -> LocalPart:
        cell = [0]
        part = LocalPart(self, cell)
        with self._lock:
            self.cells.enter(part, cell)
            if self.cells.crowded:
                self._fold()
        return part

    def add(self, n: int, own: list[int] | None) -> None:
        """Add to the base, and with it what a thread has in its `own` cell.

        Where there is no GIL, what another thread is just about to write into its cell is not among what is added up
        here: by that the total may pass the limit, and is exact all the same.
        """
        with self._lock:
            fitting(self._total() + n)
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
        """Add the parts of threads that have ended to the base."""
        for cell in self.cells.ended():
            self._change(cell[0])
