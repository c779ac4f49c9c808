"""Accumulators fed with chunks of a million elements, compared with one call: ``python bench/accumulators.py``.

Each row is timed in interleaved and shuffled rounds. The script prints the time per element of one call on all data,
that of chunks, and their ratio. The chunks are counted one after another, with one or two threads for each; by eight
threads at once, each with one thread for a chunk, against a call with two threads; and by four processes with data of
their own, whose accumulators come back and are merged, against the same. Each result is compared with NumPy's.

``--json FILE`` saves the times; with ``--check`` the exit code is non-zero if a ratio is below 0.9.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

import parcount as pc
from parcount.studies.core.environment import environment

CHUNK, CHUNKS = 1_000_000, 20
FEEDERS, PROCESSES = 8, 4
FLOOR = 0.9

Make = Callable[[], Any]
Case = tuple[Make, tuple[Any, ...], "partial[Any]"]
"""A constructor, the data, and the function that is called once with it."""


def chunks_of(arrays: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """The arrays in chunks."""
    return [tuple(array[start : start + CHUNK] for array in arrays) for start in range(0, len(arrays[0]), CHUNK)]


def in_turn(make: Make, arrays: tuple[Any, ...], threads: int) -> Any:
    """One chunk after another."""
    counts = make()
    for chunk in chunks_of(arrays):
        counts.update(*chunk, threads=threads)
    return counts.counts


def by_threads(make: Make, arrays: tuple[Any, ...], pool: ThreadPoolExecutor) -> Any:
    """Threads that update one accumulator at once."""
    counts = make()
    for done in [pool.submit(counts.update, *chunk, threads=1) for chunk in chunks_of(arrays)]:
        done.result()
    return counts.counts


@cache
def own_case(name: str) -> tuple[Make, tuple[Any, ...]]:
    """The constructor of a row and the data of this process."""
    make, arrays, *_ = cases(CHUNK * CHUNKS // PROCESSES)[name]()
    return make, arrays


def count_own(name: str, _: int) -> Any:
    """Count the data of this process."""
    make, arrays = own_case(name)
    counts = make()
    for chunk in chunks_of(arrays):
        counts.update(*chunk, threads=1)
    return counts


def by_processes(name: str, workers: pc.Processes) -> Any:
    """Processes that send their accumulators back."""
    return sum(workers.map(partial(count_own, name), range(PROCESSES))).counts


def keys_case(size: int, bins: int) -> Case:
    """Keys that are uniform over the bins."""
    keys = np.random.default_rng(0).integers(0, bins, size)
    return partial(pc.Bincount, bins), (keys,), partial(pc.bincount, minlength=bins)


def weights_case(size: int) -> Case:
    """The same with weights, whose sums are exact."""
    rng = np.random.default_rng(0)
    arrays = rng.integers(0, 1024, size), rng.integers(0, 9, size).astype(float)
    return partial(pc.Bincount, 1024, dtype=float), arrays, partial(pc.bincount)


def values_case(size: int) -> Case:
    """Values that are uniform over the bins."""
    settings = {"bins": 100, "range": (0, 1)}
    values = np.random.default_rng(0).random(size)
    return partial(pc.Histogram, **settings), (values,), partial(counts_of, **settings)  # type: ignore[arg-type]


def cases(size: int) -> dict[str, Callable[[], Case]]:
    """Name: a function that returns the constructor, the data, and the function that is called once with it."""
    found: dict[str, Callable[[], Case]] = {
        f"Bincount({bins}), int64": partial(keys_case, size, bins) for bins in (1 << 10, 1 << 16, 1 << 20)
    }
    found["Bincount(1024), float64 weights"] = partial(weights_case, size)
    found["Histogram(100), float64"] = partial(values_case, size)
    return found


def counts_of(values: Any, function: Callable[..., Any] = pc.histogram, **settings: Any) -> Any:
    """The counts of a histogram."""
    return function(values, **settings)[0]


NUMPYS: dict[Callable[..., Any], Callable[..., Any]] = {
    pc.bincount: np.bincount,
    counts_of: partial(counts_of, function=np.histogram),
}
"""NumPy's functions instead of ours."""


def main() -> int:
    """Measure, print and save; return 1 if a ratio is too small and that is checked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    order = random.Random(0)
    calls: dict[tuple[str, str], Callable[[], Any]] = {}
    expected: dict[tuple[str, str], Any] = {}
    with ThreadPoolExecutor(FEEDERS) as pool, pc.Processes(PROCESSES) as workers:
        for name, case in cases(CHUNK * CHUNKS).items():
            make, arrays, once = case()
            for threads in (1, 2):
                calls[name, f"one call, {threads}"] = partial(once, *arrays, threads=threads)
                calls[name, f"chunks, {threads}"] = partial(in_turn, make, arrays, threads)
            calls[name, f"{FEEDERS} threads"] = partial(by_threads, make, arrays, pool)
            counts = NUMPYS[once.func](*arrays, **once.keywords)
            expected |= {(name, way): counts for its, way in calls if its == name}
            calls[name, f"{PROCESSES} processes"] = partial(by_processes, name, workers)
            make, arrays = own_case(name)
            expected[name, f"{PROCESSES} processes"] = PROCESSES * NUMPYS[once.func](*arrays, **once.keywords)
        seconds: dict[tuple[str, str], list[float]] = {key: [] for key in calls}
        for turn in range(options.rounds + 1):  # the first warms up
            for key in order.sample(list(calls), len(calls)):
                start = perf_counter()
                counts = calls[key]()
                if turn:
                    seconds[key].append((perf_counter() - start) / (CHUNK * CHUNKS))
                if not np.array_equal(counts, expected[key]):
                    raise SystemExit(f"{key}: the counts are wrong")
    usual = {key: median(times) for key, times in seconds.items()}
    kept, rows = True, []
    print(f"{'':<34}{'fed':<16}{'one call, ns':>13}{'ns':>9}{'ratio':>8}")
    for name, way in calls:
        if not way.startswith("one call"):
            against = usual[name, "one call, 1" if way == "chunks, 1" else "one call, 2"]
            ratio = against / usual[name, way]
            kept &= ratio >= FLOOR
            print(f"{name:<34}{way:<16}{against * 1e9:>13.3f}{usual[name, way] * 1e9:>9.3f}{ratio:>7.2f}×")
            rows.append({"what": name, "fed": way, "ratio": ratio, "floor": FLOOR})
    if options.json:
        measured = [{"what": what, "fed": way, "seconds": times} for (what, way), times in seconds.items()]
        written = {"environment": environment(), "rows": rows, "measured": measured}
        options.json.write_text(json.dumps(written, indent=1) + "\n")
    return 0 if kept or not options.check else 1


if __name__ == "__main__":
    sys.exit(main())
