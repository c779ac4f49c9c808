"""The common base of counters in shared memory: named, closed, pickled by name."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from parcount.counters.scalar import refuse_pickling
from parcount.shm import segment
from parcount.shm.segment import Segment


class SharedBase:
    """A counter that may be in shared memory."""

    __slots__ = ()

    _kind: ClassVar[str]
    """The kind of its segments; see `parcount.shm.segment`."""

    _segment: Segment | None

    if TYPE_CHECKING:  # at run time, they would hide those of the compiled classes

        def _use_memory(self, memory: Any) -> None: ...
        def _close(self) -> None: ...
        @property
        def _closed(self) -> bool: ...

    @classmethod
    def attach(cls, name: str) -> Self:
        """Open an existing counter, of this process or another.

        Parameters
        ----------
        name : str
            Its `name`.

        Raises
        ------
        FileNotFoundError
            If no counter has this name. Its last owner may have closed it.
        PermissionError
            If it belongs to another user.
        TimeoutError
            If another process holds its lock for several seconds.
        TypeError
            If `name` is not a str.
        ValueError
            If `name` is not valid, or belongs to a counter of another type.
        """
        counter = cls.__new__(cls)
        counter._own(segment.attach(cls._kind, name))
        return counter

    def _own(self, owned: Segment) -> None:
        self._use_memory(segment.cells_of(owned))
        self._segment = owned  # type: ignore[misc] # a slot of each subclass

    @property
    def name(self) -> str | None:
        """The name by which other processes attach it; None if it is not in shared memory."""
        return None if self._segment is None else self._segment.name

    def close(self) -> None:
        """Close the counter, after which its methods raise ValueError. It can be called repeatedly."""
        self._close()
        if self._segment is not None:
            self._segment.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Callable[[str], Self], tuple[str]]:
        if self._segment is None:
            refuse_pickling(self)
        if self._closed:
            raise ValueError("this counter is closed")
        return type(self).attach, (self._segment.name,)
