"""Counting in one large table that the workers share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from parcount._native.partition import NarrowCells, Partitions, add_narrow, count_partitions
from parcount.engine.threads import persistent_threads
from parcount.execution.base import Execution
from parcount.execution.serial import Serial
from parcount.execution.threads import Threads
from parcount.kernels.job import cuts, grown
from parcount.kernels.shared_table import Take, chunks, shares


def has_shared_table(execution: Execution) -> bool:
    """Whether the workers can count in one table."""
    return isinstance(execution, Serial | Threads)


def count_in_shared_table(
    table: NDArray[Any],
    arrays: Sequence[NDArray[Any]],
    kind: type[Partitions | NarrowCells],
    take: Take,
    execution: Execution,
    *,
    grow: bool = False,
) -> tuple[NDArray[Any], int]:
    """Count keys.

    Parameters
    ----------
    table : ndarray of int64 or float64
        The counts or sums are added to it.
    arrays : sequence of ndarray
        The keys, and weights if there are any.
    kind : type
        What each worker takes its keys into: `class_for`.
    take : Take
        The kernel that does so.
    execution : Execution
        One that `has_shared_table`.
    grow : bool, optional
        Whether a longer table is made for a key that needs it.

    Returns
    -------
    tuple of ndarray and int
        The table, and the largest key plus one.

    Raises
    ------
    ValueError
        If a key is negative, or without `grow` not less than the table's length.
    Exception
        The kernel's.
    """
    if isinstance(execution, Threads):
        execution = persistent_threads(execution)
    workers, size, used = execution.concurrency, len(arrays[0]), 0
    settings = (len(arrays) > 1,) if kind is Partitions else ()
    empty: Sequence[Any] = [None] * workers

    def take_part(item: tuple[Any, tuple[int, int]]) -> Any:
        counted, (start, stop) = item
        if counted is None:
            counted = kind(len(table), stop - start + 1, *settings)  # parts differ by one
        counted.clear()
        return counted if take(counted, table.dtype, *[array[start:stop] for array in arrays]) else None

    for first, last in cuts(size, chunks(arrays, len(table), kind)):
        parts = [(first + start, first + stop) for start, stop in cuts(last - first, workers)]
        while None in (taken := execution.map(take_part, [*zip(empty, parts, strict=True)], idempotent=False)):
            table, empty = grown(table, arrays[0][first:], grow), [None] * workers
        ranges = shares(sum(counted.sizes() for counted in taken), workers)
        count: Any = count_partitions if kind is Partitions else add_narrow
        execution.map(lambda share: count(table, taken, *share), ranges, idempotent=False)  # noqa: B023
        used = max(used, *(1 + counted.largest() for counted in taken))
        empty = taken
    return table, used
