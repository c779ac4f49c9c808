"""`AtomicCounter`: one cell of 64 bits, and atomic additions."""

from __future__ import annotations

from typing import SupportsIndex

from parcount._native.counters import Cell
from parcount.counters.scalar import Scalar


class AtomicCounter(Scalar, Cell):
    """One cell of 64 bits, added to by the CPU's atomic operations: no lock, and nobody waits.

    The cell is alone on its cache lines. Where there is no GIL, threads that call a method of one and the same object
    wait for each other to count its references, which takes longer than to count: give each its own `local` handle.

    Parameters
    ----------
    value : int, optional
        Where to begin.

    Examples
    --------
    >>> import parcount as pc
    >>> c = pc.AtomicCounter(40)
    >>> c.increment()
    41
    >>> add = c.local().add  # for a hot loop of this thread
    >>> add(1)
    42
    >>> int(c)
    42
    """

    __slots__ = ()

    def __init__(self, value: SupportsIndex = 0) -> None:
        super().__init__(value)
