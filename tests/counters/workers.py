"""Functions that the tests of shared counters run in other processes."""

import os
import signal
from multiprocessing.connection import Connection
from typing import Any, NoReturn

import numpy as np

from tests.remote import TIME_LIMIT


def count(counter: Any) -> int:
    """Add 3000, by every method."""
    handle = counter.local()
    for _ in range(500):
        counter.increment()
        counter.add(3)
        handle.increment()
        handle.add(1)
    return counter.value


def obey(pipe: Connection, counter: Any) -> None:
    """Call the methods of a counter whose names come through the pipe, and send back what they return; end at "end"."""
    while True:
        assert pipe.poll(TIME_LIMIT), "nobody said what to do"
        method = pipe.recv()
        if method == "end":
            return
        pipe.send(getattr(counter, method)())


def end_at_once(counter: Any) -> NoReturn:
    """Count one and exit without clean-up."""
    counter.increment()
    os._exit(3)


def die_counting(counter: Any) -> NoReturn:
    """Count one and be killed."""
    counter.increment()
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def report_and_count(counter: Any, before: Any, after: Any, worker: int, times: int) -> None:
    """Count one by one; record each count before and after."""
    for done in range(1, times + 1):
        before[worker] = done
        counter.increment()
        after[worker] = done


def keys_of(size: int, seed: int) -> np.ndarray:
    """Some keys."""
    return np.random.default_rng(seed).integers(0, size, 5 * size)


def count_keys(cells: Any, seed: int) -> None:
    """Count keys at once, in small pieces and one by one."""
    keys = keys_of(len(cells), seed)
    for _ in range(20):
        cells.add_at(keys)
    for piece in np.array_split(keys, 100):
        cells.add_at(piece, 2)
    for key in keys:
        cells.add(key)


def counts_of_keys(size: int, seed: int) -> np.ndarray:
    """The result of `count_keys`."""
    return np.bincount(keys_of(size, seed), minlength=size) * 23


def count_forever(cells: Any) -> NoReturn:
    """Count every cell once, and again."""
    keys = np.arange(len(cells))
    while True:
        cells.add_at(keys)
