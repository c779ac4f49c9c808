"""Counting methods: those that people write, and those of this package.

All loops have the same form, so that they differ in the addition only. They are module-level functions, which worker
processes can import.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import repeat
from multiprocessing.context import BaseContext
from operator import attrgetter, itemgetter
from typing import Any

import parcount as pc

THREADS, PROCESSES = "threads", "processes"


@dataclass(frozen=True)
class CounterMethod:
    """A counting method.

    Parameters
    ----------
    make : callable
        Makes a counter at zero, given the context that worker processes are started by.
    loop : callable
        Adds one to the counter, so many times.
    read : callable
        Returns the count.
    executions : tuple of str
        Where it counts for several workers.
    may_lose : bool
        Whether it may lose increments.
    """

    make: Callable[[BaseContext], Any]
    loop: Callable[[Any, int], None]
    read: Callable[[Any], int]
    executions: tuple[str, ...] = (THREADS,)
    may_lose: bool = False


class Plain:
    """An integer in an attribute, and a lock beside it."""

    __slots__ = ("lock", "n")

    def __init__(self, lock: Any = None) -> None:
        self.n = 0
        self.lock = lock


def without_lock(counter: Plain, n: int) -> None:
    """Add to the attribute without the lock."""
    for _ in repeat(None, n):
        counter.n += 1


def one() -> int:
    """Return one."""
    return 1


def call_without_lock(counter: Plain, n: int) -> None:
    """Add the result of a call, during which other code can run between the read and the write."""
    for _ in repeat(None, n):
        counter.n += one()


def with_lock(counter: Plain, n: int) -> None:
    """Add to the attribute under its lock."""
    for _ in repeat(None, n):
        with counter.lock:
            counter.n += 1


def by_increment(counter: Any, n: int) -> None:
    """Call the counter's method."""
    increment = counter.increment
    for _ in repeat(None, n):
        increment()


def by_handle(counter: Any, n: int) -> None:
    """Call the method of a handle of this thread."""
    by_increment(counter.local(), n)


def by_next(counter: Any, n: int) -> None:
    """Advance an iterator."""
    step = counter.__next__
    for _ in repeat(None, n):
        step()


def by_cell(counter: Any, n: int) -> None:
    """Add to a cell of an array."""
    add = counter.add
    for _ in repeat(None, n):
        add(0)


def by_key(counter: Any, n: int) -> None:
    """Add to a key of a mapping."""
    increment = counter.increment
    for _ in repeat(None, n):
        increment("key")


def value_without_lock(counter: Any, n: int) -> None:
    """Add to a `multiprocessing.Value`, whose own lock guards reading and writing it, but not both together."""
    for _ in repeat(None, n):
        counter.value += 1


def value_with_lock(counter: Any, n: int) -> None:
    """Add to a `multiprocessing.Value` under its lock."""
    for _ in repeat(None, n):
        with counter.get_lock():
            counter.value += 1


LOCK = "threading.Lock"
VALUE = "multiprocessing.Value"

_n, _value = attrgetter("n"), attrgetter("value")


def _first(counter: Any) -> int:
    return int(counter[0])


METHODS: Mapping[str, CounterMethod] = {
    "counter += 1": CounterMethod(lambda _: Plain(), without_lock, _n, may_lose=True),
    "counter += f()": CounterMethod(lambda _: Plain(), call_without_lock, _n, may_lose=True),
    LOCK: CounterMethod(lambda _: Plain(threading.Lock()), with_lock, _n),
    "threading.RLock": CounterMethod(lambda _: Plain(threading.RLock()), with_lock, _n),
    "itertools.count": CounterMethod(lambda _: itertools.count(), by_next, next),
    "LockedCounter": CounterMethod(lambda _: pc.LockedCounter(), by_increment, int),
    "AtomicCounter": CounterMethod(lambda _: pc.AtomicCounter(), by_increment, int),
    "AtomicCounter.local": CounterMethod(lambda _: pc.AtomicCounter(), by_handle, int),
    "ShardedCounter": CounterMethod(lambda _: pc.ShardedCounter(), by_increment, int),
    "ShardedCounter.local": CounterMethod(lambda _: pc.ShardedCounter(), by_handle, int),
    "LocalCounter": CounterMethod(lambda _: pc.LocalCounter(), by_increment, int),
    "LocalCounter.local": CounterMethod(lambda _: pc.LocalCounter(), by_handle, int),
    "ConcurrentCounter": CounterMethod(lambda _: pc.ConcurrentCounter(), by_key, itemgetter("key")),
    "CounterArray": CounterMethod(lambda _: pc.CounterArray(1, shared=True), by_cell, _first, (THREADS, PROCESSES)),
    "SharedCounter": CounterMethod(lambda _: pc.SharedCounter(), by_increment, int, (THREADS, PROCESSES)),
    VALUE: CounterMethod(lambda context: context.Value("q"), value_with_lock, _value, (PROCESSES,)),
    "Value without lock": CounterMethod(
        lambda context: context.Value("q"), value_without_lock, _value, (PROCESSES,), may_lose=True
    ),
}
"""All methods, by the names that the study and the result file use."""
