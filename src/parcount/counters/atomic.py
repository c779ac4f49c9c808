"""`AtomicCounter`: one 64-bit cell with atomic additions."""

from parcount._native.counters import Cell
from parcount.counters.scalar import Scalar


class AtomicCounter(Scalar, Cell):
    """A counter of one 64-bit cell that is changed by atomic operations of the CPU, without a lock.

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
    Every method takes O(1) time. An addition is a compare-and-swap that is repeated while other threads change the
    cell; some thread always makes progress. The methods are short C functions that neither release the GIL nor need it.
    Signal handlers and finalizers may use them. An object takes about 660 bytes, because its cell shares no cache line
    with other data.

    On a free-threaded Python, threads that call methods of one object contend for its reference count, which costs more
    than the addition. Give each thread a handle by `local`.

    Examples
    --------
    >>> import parcount as pc
    >>> c = pc.AtomicCounter(40)
    >>> c.increment()
    41
    >>> add = c.local().add  # for a hot loop in this thread
    >>> add(1)
    42
    >>> int(c)
    42
    """

    __slots__ = ()
