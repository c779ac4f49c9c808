"""`SharedCounter`: one cell that many processes add to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self, SupportsIndex

from parcount._native.counters import Cell
from parcount.counters.scalar import Scalar, integer
from parcount.counters.shared_base import SharedBase
from parcount.shm.segment import create


class SharedCounter(SharedBase, Scalar, Cell):
    """One cell of 64 bits in named shared memory, added to by atomic operations: exact across processes, and no lock.

    It is pickled by its name, so it can be sent to worker processes, however they are started; a forked child has it
    anyway; and any process of the same user can `attach` it. A process that is killed, at any instant, leaves what it
    had counted, and nobody waits for it.

    Every process that has it open owns it, and the last one to close it, or to end, unlinks it; on macOS and other
    systems that cannot lock files in shared memory, the one that made it does. When it is sent to another process, it
    has to be kept until it has arrived.

    Parameters
    ----------
    value : int, optional
        Where to begin.
    name : str, optional
        By which other processes can attach it; one that nobody else uses by default.

    Raises
    ------
    FileExistsError
        If the name is in use.
    OSError
        If the system has no room for it.

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
        self._own(create(self._kind, 1, integer(value), name))

    def __repr__(self) -> str:
        if self._closed:
            return f"<{type(self).__name__} {self.name!r}, closed>"
        return f"{type(self).__name__}({self.value}, name={self.name!r})"

    def __reduce__(self) -> tuple[Callable[[str], Self], tuple[str]]:
        return self._by_name()
