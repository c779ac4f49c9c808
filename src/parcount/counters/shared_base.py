"""What lies in a segment of shared memory: it has a name, is closed, and travels by its name."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from parcount.shm import segment
from parcount.shm.segment import Segment


class SharedBase:
    """A counter that may lie in a segment that this process owns."""

    __slots__ = ()

    _kind: ClassVar[str]
    """What its segments are for, as `parcount.shm.segment` wants it."""

    _segment: Segment | None

    if TYPE_CHECKING:  # in earnest these would stand before those of the compiled classes

        def _use_memory(self, memory: Any) -> None: ...
        def _close(self) -> None: ...
        @property
        def _closed(self) -> bool: ...

    @classmethod
    def attach(cls, name: str) -> Self:
        """Open what another process, or this one, made by this name.

        Parameters
        ----------
        name : str
            Its `name`.

        Raises
        ------
        FileNotFoundError
            If there is none; its last owner may be gone.
        ValueError
            If there is something else of that name.
        """
        counter = cls.__new__(cls)
        counter._own(segment.attach(cls._kind, name))
        return counter

    def _own(self, owned: Segment) -> None:
        self._use_memory(segment.cells_of(owned))
        self._segment = owned  # type: ignore[misc] # a slot of each subclass

    @property
    def name(self) -> str | None:
        """By which other processes can attach it; None if they cannot, for it is not in shared memory."""
        return None if self._segment is None else self._segment.name

    def close(self) -> None:
        """Own it no longer. After that it can neither count nor be read. May be called again."""
        self._close()
        if self._segment is not None:
            self._segment.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _by_name(self) -> tuple[Callable[[str], Self], tuple[str]]:
        """How it is pickled."""
        assert self._segment is not None
        if self._closed:
            raise ValueError("this counter is closed")
        return type(self).attach, (self._segment.name,)
