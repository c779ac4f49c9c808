"""`ShardedCounter`: one cell for each thread."""

from __future__ import annotations

from typing import SupportsIndex

from parcount._native.counters import Sharded
from parcount.counters.scalar import Scalar


class ShardedCounter(Scalar, Sharded):
    """A counter with one cell for each thread; reading it sums them up.

    `add` and `increment` return None, because the new value is a sum over all threads. What a thread has counted stays
    when it ends.

    Parameters
    ----------
    value : int, optional
        Initial value.

    Raises
    ------
    TypeError
        If `value` is not an integer.
    OverflowError
        If `value` does not fit into 64 bits.

    Notes
    -----
    The design is that of Java's ``LongAdder`` by Doug Lea (JEP 155). An addition is O(1), a plain read and write of the
    thread's own cell, and does not slow down with more threads; `value` and `reset` are O(threads). Memory is about 330
    bytes for each running thread: cells of different threads share no cache line, and that of an ended thread is freed.
    The methods do not release the GIL, and do not need it. Signal handlers and finalizers may use them.

    On a free-threaded Python, hot loops call the methods of their thread's `local` handle, as with `AtomicCounter`. A
    handle that another thread uses counts exactly, but slowly.

    Examples
    --------
    >>> import parcount as pc
    >>> c = pc.ShardedCounter()
    >>> c.increment()
    >>> c.local().add(5)
    >>> c.value
    6
    """

    __slots__ = ()

    def __init__(self, value: SupportsIndex = 0) -> None:
        super().__init__(value)
