"""`LockedCounter`: a Python integer under a lock."""

from __future__ import annotations

from operator import index
from threading import Lock
from typing import Self, SupportsIndex

from parcount.counters.after_fork import renew_locks_in_children
from parcount.counters.scalar import Scalar, fitting, integer


class LockedCounter(Scalar):
    """A Python integer under `threading.Lock`: the textbook answer, and what the others are measured by.

    No signal handler and no finalizer may count with it: either may interrupt the very thread that holds the lock, and
    wait for ever. The atomic and the sharded counter have none.

    Parameters
    ----------
    value : int, optional
        Where to begin.

    Examples
    --------
    >>> import parcount as pc
    >>> c = pc.LockedCounter()
    >>> c.increment()
    1
    >>> c.add(5)
    6
    >>> c.reset(), c.value
    (6, 0)
    """

    __slots__ = ("__weakref__", "_lock", "_value")

    def __init__(self, value: SupportsIndex = 0) -> None:
        self._value = integer(value)
        self._renew_locks()
        renew_locks_in_children(self)

    def _renew_locks(self) -> None:
        """Have a new lock, in a forked child."""
        self._lock = Lock()

    def increment(self) -> int:
        """Add one; return the new value."""
        with self._lock:
            self._value = value = fitting(self._value + 1)
            return value

    def add(self, n: SupportsIndex, /) -> int:
        """Add `n`; return the new value."""
        n = index(n)
        with self._lock:
            self._value = value = fitting(self._value + n)
            return value

    @property
    def value(self) -> int:
        """What has been counted."""
        return self._value

    def reset(self) -> int:
        """Set to zero; return what was taken away."""
        with self._lock:
            value, self._value = self._value, 0
            return value

    def local(self) -> Self:
        """Return the counter itself: with one lock for all there is nothing that a thread could have to itself."""
        return self
