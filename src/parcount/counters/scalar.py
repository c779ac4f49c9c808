"""What counters of one number have in common, whatever they keep it in."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, Any, NoReturn, SupportsIndex

LEAST, MOST = -(1 << 63), (1 << 63) - 1
"""The numbers of 64 bits."""


class Scalar:
    """A counter of one number.

    ``add(n)`` adds any integer, a negative one to count down, and ``increment()`` one; if the new value does not fit
    into 64 bits they raise `OverflowError`, and the counter is as it was. What has one cell returns the new value; what
    is spread over threads returns None, for only to sum up tells it. ``value`` and `int` read it, ``reset()`` sets it
    to zero and returns what it took away, and ``local()`` gives the calling thread a handle of its own to count with. A
    counter does not leave its process unless it can be shared.
    """

    __slots__ = ()

    if TYPE_CHECKING:  # in earnest it would stand before that of the compiled classes

        @property
        def value(self) -> int:
            """What has been counted."""

    def __int__(self) -> int:
        return self.value

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.value})"

    def __reduce__(self) -> str | tuple[Any, ...]:
        refuse_to_travel(self)


def refuse_to_travel(counter: object) -> NoReturn:
    """Raise the `TypeError` of a counter that cannot be pickled or copied.

    Parameters
    ----------
    counter : object
        Which.
    """
    raise TypeError(
        f"{type(counter).__name__} cannot be copied or pickled: what is counted in the copy would be missing here. "
        "A SharedCounter, or a CounterArray with shared=True, is seen by all processes that it is sent to."
    )


def integer(value: SupportsIndex) -> int:
    """`value` as a Python integer of at most 64 bits.

    Parameters
    ----------
    value : int
        Or what can stand for one.

    Raises
    ------
    TypeError
        If it is no integer.
    OverflowError
        If it does not fit.

    Examples
    --------
    >>> integer(True)
    1
    """
    return fitting(int(index(value)))


def fitting(total: int) -> int:
    """`total`, if it fits into 64 bits.

    Parameters
    ----------
    total : int
        What a counter would come to.

    Raises
    ------
    OverflowError
        If it does not fit.
    """
    if not LEAST <= total <= MOST:
        raise OverflowError(f"the count would be {total}, which does not fit into 64 bits")
    return total
