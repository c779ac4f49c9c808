"""Data of each thread that outlives the thread."""

from __future__ import annotations

from typing import Generic, TypeVar
from weakref import ref

Data = TypeVar("Data")

SPARE = 16
"""Entries of ended threads that are tolerated before a search for them."""


class PerThread(Generic[Data]):
    """An entry for each thread, including threads that have ended.

    Each thread keeps a token for its entry in a `threading.local`. The token is freed when the thread ends; the entry
    does not change from then on. The caller guards the entries by a lock.
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
        """All entries."""
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
        """Whether there are twice as many entries as there were running threads: `take_ended` is due."""
        return len(self._entries) > self._limit
