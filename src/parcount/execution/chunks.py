"""Chunks: several items that travel to a worker in one message."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

TARGET_SECONDS = 0.005
"""Duration of a chunk: a hundred times that of its message, and short enough for workers to end at about one time."""

LEAST_SECONDS = 0.001
"""Duration below which the last chunks, which are smaller so that workers end together, cost more than they gain."""

GROWTH = 8
"""By how much a chunk can be larger than one whose duration is known: items differ."""

LARGE_BYTES = 1 << 18
"""Size of a message above which the chunks do not grow: what is paid for each message does not count then."""


class ChunkSize:
    """The number of items of the next chunk.

    Parameters
    ----------
    fixed : int or None
        The size of all chunks. By default it is measured: the first chunks are single items, and later ones have as
        many items as take some milliseconds.
    workers : int
        The number of chunks that run at the same time.
    """

    def __init__(self, fixed: int | None, workers: int) -> None:
        self.fixed = fixed
        self.workers = workers
        self.usual = 1
        self.least = 1

    def chunks(self, items: Sequence[Any]) -> Iterator[tuple[int, Sequence[Any]]]:
        """Yield the position of the first item and the items of each chunk; the size may change between two."""
        start = 0
        while start < len(items):
            size = self.fixed
            if size is None:
                share = (len(items) - start) // (2 * self.workers)
                size = min(self.usual, max(share, self.least))
            yield start, items[start : start + size]
            start += size

    def adjust(self, count: int, seconds: float, size: int) -> None:
        """Take into account that a chunk of `count` items in a message of `size` bytes has taken some seconds."""
        each = seconds / count
        most = count if size > LARGE_BYTES else GROWTH * count
        self.usual = max(1, min(int(TARGET_SECONDS / each), most))
        self.least = max(1, min(int(LEAST_SECONDS / each), most))


def split(items: Iterable[Any], size: int) -> Iterator[tuple[Any, ...]]:
    """Yield the items in tuples of `size`; the last may be shorter."""
    iterator = iter(items)
    return iter(lambda: tuple(islice(iterator, size)), ())


def apply_to_each(function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """Apply a function to each item of a chunk."""
    return [function(item) for item in items]


def apply_call(call: tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]) -> Any:
    """Call a function with arguments and keyword arguments."""
    function, args, kwargs = call
    return function(*args, **kwargs)


def apply_star(function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
    """Apply a function to several arguments."""
    return function(*arguments)
