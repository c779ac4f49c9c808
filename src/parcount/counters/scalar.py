"""The common base of the scalar counters."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, Any, NoReturn, SupportsIndex

LEAST, MOST = -(1 << 63), (1 << 63) - 1
"""Limits of a 64-bit integer."""


class Scalar:
    """A counter of one number.

    ``add(n)`` adds an integer, which may be negative; ``increment()`` adds 1. If the new value does not fit into 64
    bits, both raise `OverflowError` and the counter is unchanged. Counters with one cell return the new value; those
    with a cell for each thread return None, because the new value is a sum over all threads. ``value`` and `int` read
    the counter, ``reset()`` sets it to zero and returns the value before, and ``local()`` returns a handle for the
    calling thread. Only shared counters can be pickled.
    """

    __slots__ = ()

    if TYPE_CHECKING:  # at run time it would hide that of the compiled classes

        @property
        def value(self) -> int:
            """The current value."""

    def __int__(self) -> int:
        return self.value

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.value})"

    def __reduce__(self) -> str | tuple[Any, ...]:
        refuse_pickling(self)


def refuse_pickling(counter: object) -> NoReturn:
    """Raise the `TypeError` of a counter that cannot be pickled or copied."""
    raise TypeError(
        f"{type(counter).__name__} cannot be copied or pickled: counts added to the copy would be missing here. "
        "Use a SharedCounter, or a CounterArray with shared=True, to count in several processes."
    )


def integer(value: SupportsIndex) -> int:
    """`value`, an int or an object with ``__index__``, as an int of at most 64 bits.

    Raises
    ------
    TypeError
        If it is not an integer.
    OverflowError
        If it does not fit.

    Examples
    --------
    >>> integer(True)
    1
    """
    return fitting(int(index(value)))


def fitting(total: int) -> int:
    """`total`, if it fits into 64 bits; otherwise `OverflowError`."""
    if not LEAST <= total <= MOST:
        raise OverflowError(f"the count would be {total}, which does not fit into 64 bits")
    return total
