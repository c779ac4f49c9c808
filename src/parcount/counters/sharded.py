"""`ShardedCounter`: a cell for each thread."""

from __future__ import annotations

from typing import SupportsIndex

from parcount._native.counters import Sharded
from parcount.counters.scalar import Scalar


class ShardedCounter(Scalar, Sharded):
    """A cell for each thread that counts, each on cache lines of its own, summed up when the counter is read.

    Doug Lea's idea, known from Java's LongAdder. To add costs less than to one atomic cell, and does not slow down with
    more threads; to read costs a step for each thread that counts. So `add` and `increment` return nothing, and where
    there is no GIL a hot loop calls those of its thread's `local` handle. What a thread has counted stays when it ends.

    A handle counts exactly in another thread's hands too, but slowly.

    Parameters
    ----------
    value : int, optional
        Where to begin.

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
