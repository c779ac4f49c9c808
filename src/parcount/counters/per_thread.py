"""Data of each thread that outlives the thread."""

from __future__ import annotations

from typing import Generic, TypeVar
from weakref import ref

Data = TypeVar("Data")

SPARE = 16
"""Entries of ended threads that are not worth a search."""


class PerThread(Generic[Data]):
    """An entry for each thread, including threads that have ended.

    Each thread keeps a token for its entry in a `threading.local`. When the thread ends, the token is freed, and nobody
    writes the entry any more. The owner guards the entries by a lock.

    Examples
    --------
    >>> class Token: pass
    >>> entries, token = PerThread(), Token()
    >>> entries.add(token, "its counts")
    >>> entries.take_ended()
    []
    >>> del token
    >>> entries.take_ended()
    ['its counts']
    """

    def __init__(self) -> None:
        self._entries: dict[int, tuple[ref[object], Data]] = {}
        self._limit = SPARE

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, token: object, data: Data) -> None:
        """Add the entry of the thread that keeps `token`."""
        self._entries[id(data)] = ref(token), data

    def all(self) -> list[Data]:
        """Every entry."""
        return [data for _, data in list(self._entries.values())]

    def take_ended(self) -> list[Data]:
        """Remove and return the entries of threads that have ended."""
        ended = []
        for key, (token, data) in list(self._entries.items()):
            if token() is None:
                del self._entries[key]
                ended.append(data)
        self._limit = 2 * len(self._entries) + SPARE
        return ended

    @property
    def crowded(self) -> bool:
        """Whether `take_ended` is due: there are twice as many entries as there were running threads."""
        return len(self._entries) > self._limit
