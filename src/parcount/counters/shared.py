"""`SharedCounter`: one cell that many processes add to."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self, SupportsIndex

from parcount._native.counters import Cell
from parcount.counters.scalar import Scalar, integer
from parcount.counters.segment import Segment, attach, cells_of, create


class SharedCounter(Scalar, Cell):
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

    def __init__(self, value: SupportsIndex = 0, *, name: str | None = None) -> None:
        self._open(create("counter", 1, integer(value), name))

    @classmethod
    def attach(cls, name: str) -> Self:
        """Open the counter that another process, or this one, made by this name.

        Parameters
        ----------
        name : str
            Its `name`.

        Raises
        ------
        FileNotFoundError
            If there is none; its last owner may be gone.
        ValueError
            If there is something else.
        """
        counter = cls.__new__(cls)
        counter._open(attach("counter", name))
        return counter

    def _open(self, segment: Segment) -> None:
        self._segment = segment
        self.lie_in(cells_of(segment))

    @property
    def name(self) -> str:
        """By which other processes can attach it."""
        return self._segment.name

    def close(self) -> None:
        """Own it no longer. It can then be neither counted with nor read, nor can its handles. May be called again."""
        self.shut()
        self._segment.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if self.is_shut:
            return f"<{type(self).__name__} {self.name!r}, closed>"
        return f"{type(self).__name__}({self.value}, name={self.name!r})"

    def __reduce__(self) -> tuple[Callable[[str], Self], tuple[str]]:
        if self.is_shut:
            raise ValueError("this counter is closed")
        return type(self).attach, (self.name,)
