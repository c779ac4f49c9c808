"""`LockedCounter`: a Python integer under a lock."""

from __future__ import annotations

from operator import index
from threading import Lock
from typing import Self, SupportsIndex

from parcount._native.counters import as_int64
from parcount.counters.after_fork import renew_locks_in_children
from parcount.counters.scalar import Scalar


class LockedCounter(Scalar):
    """A Python integer under a `threading.Lock`: the textbook solution, as a reference for the others.

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
    Every method takes O(1) time, and waits while another thread holds the lock. It needs the GIL, as Python code does.
    Signal handlers and finalizers must not use it: one that interrupts the thread that holds the lock waits for ever.

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
        self._value = as_int64(value)
        self._renew_locks()
        renew_locks_in_children(self)

    def _renew_locks(self) -> None:
        self._lock = Lock()

    def increment(self) -> int:
        """Add 1; return the new value. Equivalent to ``add(1)``."""
        with self._lock:
            self._value = value = as_int64(self._value + 1)
            return value

    def add(self, n: SupportsIndex, /) -> int:
        """Add `n`; return the new value. `OverflowError` if it does not fit into 64 bits."""
        n = index(n)
        with self._lock:
            self._value = value = as_int64(self._value + n)
            return value

    @property
    def value(self) -> int:
        """The current value."""
        return self._value

    def reset(self) -> int:
        """Set to zero; return the value before."""
        with self._lock:
            value, self._value = self._value, 0
            return value

    def local(self) -> Self:
        """Return the counter itself: it has no state for each thread."""
        return self
