"""`SharedCounter`: one 64-bit cell in shared memory."""

from __future__ import annotations

from typing import SupportsIndex

from parcount._native.counters import Cell, as_int64
from parcount.counters.scalar import Scalar
from parcount.counters.shared_base import SharedBase
from parcount.shm.segment import create


class SharedCounter(SharedBase, Scalar, Cell):
    """A counter of one 64-bit cell in named shared memory, changed by atomic operations, without a lock.

    It is pickled by name, so it can be sent to worker processes with any start method. Forked children inherit it, and
    any process of the same user can `attach` it. A killed process loses no counts and blocks no other process.

    The last process that closes it, or ends, unlinks the memory. Systems that cannot lock files in shared memory, such
    as macOS, unlink it with the process that created it. A sender has to keep it open until the receiver has it.

    Parameters
    ----------
    value : int, optional
        Initial value.
    name : str, optional
        Name by which other processes attach it; a random one by default.

    Raises
    ------
    TypeError, OverflowError
        If `value` is not an integer, or does not fit into 64 bits; or if `name` is not a str.
    ValueError
        If `name` is empty or contains a slash, a backslash, a null or a tilde.
    FileExistsError
        If the name is in use.
    OSError
        If there is not enough shared memory.

    Notes
    -----
    The methods cost the same as those of `AtomicCounter`, and treat the GIL in the same way. They raise `ValueError`
    after `close`. Each counter takes one page of shared memory and two file descriptors. On Linux, creating one takes
    O(segments of this user) time, because it unlinks those that killed processes have left.

    Examples
    --------
    >>> import parcount as pc
    >>> with pc.SharedCounter() as c:
    ...     also = pc.SharedCounter.attach(c.name)  # in this process or in any other
    ...     c.increment(), also.increment()
    (1, 2)
    >>> also.value
    2
    """

    __slots__ = ("_segment",)

    _kind = "SharedCounter"

    def __init__(self, value: SupportsIndex = 0, *, name: str | None = None) -> None:
        self._own(create(self._kind, 1, as_int64(value), name))

    def __repr__(self) -> str:
        if self._closed:
            return f"<{type(self).__name__} {self.name!r}, closed>"
        return f"{type(self).__name__}({self.value}, name={self.name!r})"
