"""The ways to count with several workers: what people write, and what this package gives them.

Every loop is of the same form, so that what differs is how one is added. The loops stand at the top of a module: worker
processes find them by name.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import repeat
from multiprocessing.context import BaseContext
from typing import Any

import parcount as pc

THREADS, PROCESSES = "threads", "processes"


@dataclass(frozen=True)
class CounterMethod:
    """One way to count.

    Parameters
    ----------
    name : str
        As the study and the result file spell it.
    make : callable
        Makes a counter at zero; given the context that worker processes are started by.
    loop : callable
        Adds one to the counter, so many times.
    read : callable
        What has been counted.
    executions : tuple of str
        Where it counts for several workers.
    may_lose : bool
        Whether it makes no promise to lose nothing.
    """

    name: str
    make: Callable[[BaseContext], Any]
    loop: Callable[[Any, int], None]
    read: Callable[[Any], int]
    executions: tuple[str, ...] = (THREADS,)
    may_lose: bool = False


class Plain:
    """An integer in an attribute, and the lock beside it that people are told to use."""

    __slots__ = ("lock", "n")

    def __init__(self, lock: Any = None) -> None:
        self.n = 0
        self.lock = lock


def bare(counter: Plain, n: int) -> None:
    """Without a lock."""
    for _ in repeat(None, n):
        counter.n += 1


def one() -> int:
    """One."""
    return 1


def bare_with_a_call(counter: Plain, n: int) -> None:
    """Without a lock, and what is added is the result of a call: between reading and writing other code runs."""
    for _ in repeat(None, n):
        counter.n += one()


def under_lock(counter: Plain, n: int) -> None:
    """Under the lock beside it."""
    for _ in repeat(None, n):
        with counter.lock:
            counter.n += 1


def by_increment(counter: Any, n: int) -> None:
    """By the counter's own method."""
    increment = counter.increment
    for _ in repeat(None, n):
        increment()


def by_handle(counter: Any, n: int) -> None:
    """By the method of a handle that this thread has to itself."""
    by_increment(counter.local(), n)


def by_next(counter: Any, n: int) -> None:
    """By asking an iterator for its next number."""
    step = counter.__next__
    for _ in repeat(None, n):
        step()


def by_cell(counter: Any, n: int) -> None:
    """One cell of an array."""
    add = counter.add
    for _ in repeat(None, n):
        add(0)


def by_key(counter: Any, n: int) -> None:
    """One key of a mapping."""
    increment = counter.increment
    for _ in repeat(None, n):
        increment("key")


def bare_value(counter: Any, n: int) -> None:
    """A `multiprocessing.Value`, whose own lock guards reading it and writing it, but not both together."""
    for _ in repeat(None, n):
        counter.value += 1


def value_under_lock(counter: Any, n: int) -> None:
    """The same, under its lock."""
    for _ in repeat(None, n):
        with counter.get_lock():
            counter.value += 1


def _named(ways: Iterable[CounterMethod]) -> Mapping[str, CounterMethod]:
    return {way.name: way for way in ways}


LOCK = "threading.Lock"
VALUE = "multiprocessing.Value"

METHODS = _named(
    [
        CounterMethod("counter += 1", lambda _: Plain(), bare, lambda counter: counter.n, may_lose=True),
        CounterMethod("counter += f()", lambda _: Plain(), bare_with_a_call, lambda counter: counter.n, may_lose=True),
        CounterMethod(LOCK, lambda _: Plain(threading.Lock()), under_lock, lambda counter: counter.n),
        CounterMethod("threading.RLock", lambda _: Plain(threading.RLock()), under_lock, lambda counter: counter.n),
        CounterMethod("itertools.count", lambda _: itertools.count(), by_next, next),
        CounterMethod("LockedCounter", lambda _: pc.LockedCounter(), by_increment, int),
        CounterMethod("AtomicCounter", lambda _: pc.AtomicCounter(), by_increment, int),
        CounterMethod("AtomicCounter.local", lambda _: pc.AtomicCounter(), by_handle, int),
        CounterMethod("ShardedCounter", lambda _: pc.ShardedCounter(), by_increment, int),
        CounterMethod("ShardedCounter.local", lambda _: pc.ShardedCounter(), by_handle, int),
        CounterMethod("LocalCounter", lambda _: pc.LocalCounter(), by_increment, int),
        CounterMethod("LocalCounter.local", lambda _: pc.LocalCounter(), by_handle, int),
        CounterMethod("ConcurrentCounter", lambda _: pc.ConcurrentCounter(), by_key, lambda counter: counter["key"]),
        CounterMethod(
            "CounterArray",
            lambda _: pc.CounterArray(1, shared=True),
            by_cell,
            lambda counter: int(counter[0]),
            (THREADS, PROCESSES),
        ),
        CounterMethod("SharedCounter", lambda _: pc.SharedCounter(), by_increment, int, (THREADS, PROCESSES)),
        CounterMethod(
            VALUE, lambda context: context.Value("q"), value_under_lock, lambda counter: counter.value, (PROCESSES,)
        ),
        CounterMethod(
            "Value without lock",
            lambda context: context.Value("q"),
            bare_value,
            lambda counter: counter.value,
            (PROCESSES,),
            may_lose=True,
        ),
    ]
)
"""All ways, by name."""
