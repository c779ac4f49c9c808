"""The counters compared with other implementations: ``python bench/counters.py``.

Each method is timed with one or two workers, in interleaved and shuffled rounds. The script prints the ratio of the
median times per increment, other to ours, and the smallest ratio that is acceptable. ``--json FILE`` saves the times;
with ``--check`` the exit code is non-zero if a ratio is too small. Every total is checked.

With two workers the time is from the start of the first to the end of the last, for the increments of both.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import sys
import sysconfig
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count, repeat
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from threading import Barrier, Lock, Thread
from time import perf_counter
from typing import Any

import cereggii
import numpy as np

import parcount as pc
from parcount.studies.core.environment import environment

INCREMENTS = 200_000
KEYS, CELLS, CALLS = 10_000_000, 65_536, 8
WORDS, VOCABULARY = 1_000_000, 50_000
TIME_LIMIT = 300.0

HAS_GIL = not sysconfig.get_config_var("Py_GIL_DISABLED") or getattr(sys, "_is_gil_enabled", lambda: True)()

Timed = Callable[[], float]
"""Counts, and returns the seconds per increment."""


def loop(increment: Callable[[], Any], times: int) -> None:
    """Call `increment` `times` times; the cost of the loop is part of every time."""
    for _ in repeat(None, times):
        increment()


def by_threads(works: list[Callable[[], Any]]) -> float:
    """Seconds that threads take, one for each callable, which start together."""
    spans: list[tuple[float, float]] = []
    barrier = Barrier(len(works))

    def run(work: Callable[[], Any]) -> None:
        barrier.wait(TIME_LIMIT)
        start = perf_counter()
        work()
        spans.append((start, perf_counter()))

    threads = [Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(spans) != len(works):
        raise RuntimeError("a thread failed")
    return max(end for _, end in spans) - min(start for start, _ in spans)


def increments(make: Callable[[], Any], method: Callable[[Any], Callable[[], Any]], read: Any, threads: int) -> float:
    """Seconds per increment of a new counter; each thread gets its increment function from `method`."""
    counter = make()
    seconds = by_threads([lambda: loop(method(counter), INCREMENTS)] * threads)
    if read(counter) != threads * INCREMENTS:
        raise SystemExit(f"{make}: {read(counter)} of {threads * INCREMENTS} increments were counted")
    return seconds / (threads * INCREMENTS)


class ManualLock:
    """An integer and a lock."""

    def __init__(self) -> None:
        self.value = 0
        self.lock = Lock()

    def increment(self) -> None:
        """Add one."""
        with self.lock:
            self.value += 1


def cereggii_handle(counter: Any) -> Any:
    """One handle per thread, as cereggii recommends."""
    return counter.get_handle().increment_and_get


METHODS: dict[str, tuple[Callable[[], Any], Callable[[Any], Callable[[], Any]], Callable[[Any], int]]] = {
    "itertools.count": (count, lambda c: c.__next__, next),
    "a lock by hand": (ManualLock, lambda c: c.increment, lambda c: c.value),
    "cereggii": (lambda: cereggii.AtomicInt64(0), lambda c: c.increment_and_get, lambda c: c.get()),
    "cereggii, handles": (lambda: cereggii.AtomicInt64(0), cereggii_handle, lambda c: c.get()),
    "LockedCounter": (pc.LockedCounter, lambda c: c.increment, int),
    "AtomicCounter": (pc.AtomicCounter, lambda c: c.increment, int),
    "AtomicCounter, handles": (pc.AtomicCounter, lambda c: c.local().increment, int),
    "ShardedCounter": (pc.ShardedCounter, lambda c: c.increment, int),
    "ShardedCounter, handles": (pc.ShardedCounter, lambda c: c.local().increment, int),
    "LocalCounter": (pc.LocalCounter, lambda c: c.increment, int),
}
"""Name: constructor, the increment function of a thread, and the value."""


def add_at(keys: np.ndarray, threads: int) -> float:
    """Seconds per key; each thread counts all keys into the same array, several times.

    Counting them once takes less time than the system needs to move the second thread to a core of its own.
    """
    cells = pc.CounterArray(CELLS)

    def work() -> None:
        for _ in range(CALLS):
            cells.add_at(keys)

    seconds = by_threads([work] * threads)
    if cells.values().sum() != CALLS * threads * len(keys):
        raise SystemExit("CounterArray: not every key was counted")
    return seconds / (CALLS * threads * len(keys))


def update(kind: Callable[[], Any], lists: list[list[str]]) -> float:
    """Seconds per word; each thread counts a list of its own into the same counter."""
    counter = kind()
    seconds = by_threads([lambda words=words: counter.update(words) for words in lists])  # type: ignore[misc]
    if counter.total() != sum(map(len, lists)):
        raise SystemExit(f"{kind}: not every word was counted")
    return seconds / sum(map(len, lists))


def words(seed: int) -> list[str]:
    """Words with a Zipf distribution, as in a text."""
    ranks = np.random.default_rng(seed).zipf(1.2, WORDS) % VOCABULARY
    return [f"word{rank}" for rank in ranks]


def serve(pipe: Connection, barrier: Any, value: Any, counter: pc.SharedCounter) -> None:
    """Run in a worker process: count by the method received through the pipe, and send back start and end."""

    def locked() -> None:
        with value.get_lock():
            value.value += 1

    methods = {"SharedCounter": counter.increment, "multiprocessing.Value": locked}
    while (order := pipe.recv()) is not None:
        method, workers, times = order
        if workers > 1:
            barrier.wait(TIME_LIMIT)
        start = perf_counter()
        loop(methods[method], times)
        pipe.send((start, perf_counter()))


@contextmanager
def processes() -> Iterator[Callable[[str, int], float]]:
    """Two worker processes; yields a function that times a method with a number of them."""
    context = multiprocessing.get_context("spawn")
    value, barrier = context.Value("q", 0), context.Barrier(2)
    with ExitStack() as stack:
        counter = stack.enter_context(pc.SharedCounter())
        pipes = []
        for _ in range(2):
            ours, theirs = context.Pipe()
            process = context.Process(target=serve, args=(theirs, barrier, value, counter))
            process.start()
            stack.callback(process.join)
            stack.callback(ours.send, None)
            pipes.append(ours)

        def timed(method: str, workers: int) -> float:
            value.value = 0
            counter.reset()
            for pipe in pipes[:workers]:
                pipe.send((method, workers, INCREMENTS))
            spans = [pipe.recv() for pipe in pipes[:workers]]
            if value.value + counter.value != workers * INCREMENTS:
                raise SystemExit(f"{method}: {value.value + counter.value} increments were counted")
            seconds = max(end for _, end in spans) - min(start for start, _ in spans)
            return float(seconds / (workers * INCREMENTS))

        yield timed


@dataclass(frozen=True)
class Row:
    """A ratio of two measurements.

    Parameters
    ----------
    ours, against : (str, int)
        Method and number of workers. The ratio is the time of `against` divided by that of `ours`.
    floor : float
        The smallest acceptable ratio; 0 for any.
    free_threaded : bool
        Whether the row needs a free-threaded Python.
    """

    ours: tuple[str, int]
    against: tuple[str, int]
    floor: float = 0.0
    free_threaded: bool = False

    @property
    def supported(self) -> bool:
        """Whether this Python can measure the row."""
        return not (self.free_threaded and HAS_GIL)


ROWS = [
    Row(("AtomicCounter", 1), ("itertools.count", 1), 1 / 1.2),
    Row(("AtomicCounter", 1), ("LockedCounter", 1), 6),
    Row(("AtomicCounter", 1), ("a lock by hand", 1), 6),
    Row(("AtomicCounter", 1), ("cereggii", 1), 1.4),
    Row(("AtomicCounter", 2), ("LockedCounter", 2), 6),
    Row(("AtomicCounter", 2), ("a lock by hand", 2), 6),
    Row(("AtomicCounter", 2), ("cereggii", 2), 1.4),
    Row(("AtomicCounter, handles", 2), ("cereggii, handles", 2)),
    Row(("ShardedCounter", 1), ("AtomicCounter", 1)),
    Row(("LocalCounter", 1), ("LockedCounter", 1)),
    Row(("ShardedCounter, handles", 2), ("ShardedCounter, handles", 1), 1.8, free_threaded=True),
    Row(("ShardedCounter, handles", 2), ("AtomicCounter", 2), 1.5, free_threaded=True),
    Row(("ShardedCounter, handles", 2), ("AtomicCounter, handles", 2), 1.5, free_threaded=True),
    Row(("ShardedCounter, handles", 2), ("LockedCounter", 2), free_threaded=True),
    Row(("SharedCounter", 1), ("multiprocessing.Value", 1), 8),
    Row(("SharedCounter", 2), ("multiprocessing.Value", 2), 8),
    Row(("CounterArray.add_at", 2), ("CounterArray.add_at", 1), 1.6),
    Row(("ConcurrentCounter.update", 1), ("Counter.update", 1), 1 / 1.15),
    Row(("ConcurrentCounter.update", 2), ("ConcurrentCounter.update", 1), 1.6, free_threaded=True),
]


def calls(in_processes: Callable[[str, int], float]) -> dict[tuple[str, int], Timed]:
    """Every method with every number of workers that the rows need."""
    found: dict[tuple[str, int], Timed] = {}
    keys = np.random.default_rng(0).integers(0, CELLS, KEYS)
    lists = [words(seed) for seed in range(2)]
    for workers in (1, 2):
        for name, (make, method, read) in METHODS.items():
            found[name, workers] = partial(increments, make, method, read, workers)
        for name in ("SharedCounter", "multiprocessing.Value"):
            found[name, workers] = partial(in_processes, name, workers)
        found["CounterArray.add_at", workers] = partial(add_at, keys, workers)
        found["ConcurrentCounter.update", workers] = partial(update, pc.ConcurrentCounter, lists[:workers])
    found["Counter.update", 1] = partial(update, Counter, lists[:1])
    wanted = {end for row in ROWS if row.supported for end in (row.ours, row.against)}
    return {name: call for name, call in found.items() if name in wanted}


def main() -> int:
    """Measure, print and save; return 1 if a ratio is too small and that is checked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    order = random.Random(0)
    with processes() as in_processes:
        timed = calls(in_processes)
        for call in timed.values():
            call()
        seconds: dict[tuple[str, int], list[float]] = {name: [] for name in timed}
        for _ in range(options.rounds):
            for name in order.sample(list(timed), len(timed)):
                seconds[name].append(timed[name]())
    usual = {name: median(times) for name, times in seconds.items()}
    kept = True
    rows = []
    print(f"{'':<38}{'against':<38}{'its ns':>9}{'our ns':>9}{'ratio':>9}{'floor':>7}")
    for row in ROWS:
        text = "".join(f"{f'{what} × {n}' if n > 1 else what:<38}" for what, n in (row.ours, row.against))
        ratio = usual[row.against] / usual[row.ours] if row.supported else None
        if ratio is None:
            print(f"{text}  needs a free-threaded Python")
        else:
            kept &= ratio >= row.floor
            text += f"{usual[row.against] * 1e9:>9.2f}{usual[row.ours] * 1e9:>9.2f}{ratio:>8.2f}×"
            print(text + (f"{row.floor:>6.2f}" + ("!" if ratio < row.floor else "") if row.floor else ""))
        rows.append({"ours": row.ours, "against": row.against, "ratio": ratio, "floor": row.floor})
    if options.json:
        measured = [{"what": what, "workers": n, "seconds": times} for (what, n), times in seconds.items()]
        written = {"environment": environment(), "rows": rows, "measured": measured}
        options.json.write_text(json.dumps(written, indent=1) + "\n")
    return 0 if kept or not options.check else 1


if __name__ == "__main__":
    sys.exit(main())
