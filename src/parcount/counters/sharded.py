"""`ShardedCounter`: one cell for each thread."""

from parcount._native.counters import Sharded
from parcount.counters.scalar import Scalar


class ShardedCounter(Scalar, Sharded):
    """A counter with one cell for each thread; reading adds them up. What a thread has counted stays when it ends.

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
    The design is that of Java's ``LongAdder`` by Doug Lea (JEP 155). An addition is O(1), a plain read and write of the
    thread's own cell, and does not slow down with more threads; `value` and `reset` are O(threads). Memory is about 330
    bytes for each running thread. `AtomicCounter` describes the GIL, signal handlers and handles: it is the same here.
    A handle that another thread uses counts exactly, but slowly.

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
