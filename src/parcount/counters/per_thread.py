"""A part for each thread, which stays behind when the thread ends."""

from __future__ import annotations

from typing import Generic, TypeVar
from weakref import ref

Part = TypeVar("Part")

FEW = 16
"""Parts of which so many more than threads run are not worth looking for."""


class Parts(Generic[Part]):
    """The parts of all threads, of those that have ended too.

    For each part its thread keeps a token, in a `threading.local`: when the thread ends the token goes, and nobody
    writes the part any more. The owner of the parts guards them by a lock.

    Examples
    --------
    >>> class Token: pass
    >>> parts, token = Parts(), Token()
    >>> parts.enter(token, "what it counted")
    >>> parts.ended()
    []
    >>> del token
    >>> parts.ended()
    ['what it counted']
    """

    def __init__(self) -> None:
        self._held: dict[int, tuple[ref[object], Part]] = {}
        self._crowd = FEW

    def __len__(self) -> int:
        return len(self._held)

    def enter(self, token: object, part: Part) -> None:
        """Hold a part from now on.

        Parameters
        ----------
        token : object
            What its thread keeps.
        part : object
            What stays.
        """
        self._held[id(part)] = ref(token), part

    def all(self) -> list[Part]:
        """Every part that is held."""
        return [part for _, part in list(self._held.values())]

    def ended(self) -> list[Part]:
        """The parts of threads that have ended; they are held no longer."""
        ended = []
        for key, (token, part) in list(self._held.items()):
            if token() is None:
                del self._held[key]
                ended.append(part)
        self._crowd = 2 * len(self._held) + FEW
        return ended

    @property
    def crowded(self) -> bool:
        """Whether there are so many more parts than running threads had that it is time to call `ended`."""
        return len(self._held) > self._crowd
