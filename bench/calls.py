"""Small and medium calls compared with NumPy's, and the size from which two threads pay: ``python bench/calls.py``.

Each sample is many calls of one function; samples of ours and of NumPy's alternate. The script prints the median of the
ratios of neighbouring samples: our time divided by NumPy's, with the default number of threads. ``--pays`` compares one
thread with two instead. ``--json FILE`` saves the ratios and the median times; with ``--check`` the exit code is
non-zero if a ratio is above its limit. Results are compared before anything is timed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

import parcount as pc
from parcount.studies.core.environment import environment

Call = Callable[[], Any]

SIZES = [10, 100, 1_000, 10_000, 20_000, 50_000, 100_000]
BINS = [1_000, 100_000]
PAY_SIZES = [20_000, 30_000, 40_000, 60_000, 100_000, 130_000]
SAMPLE_SECONDS = 0.002
"""The length of a sample: short, so that two neighbours meet the same load of the machine."""


def bincounts(size: int, bins: int) -> tuple[Call, Call]:
    """`bincount` of int64 keys."""
    x = np.random.default_rng(0).integers(0, bins, size)
    return lambda: pc.bincount(x), lambda: np.bincount(x)


def histograms(size: int, bins: int) -> tuple[Call, Call]:
    """`histogram` of float64 values with the range given."""
    x = np.random.default_rng(0).random(size)
    return lambda: pc.histogram(x, bins, (0, 1)), lambda: np.histogram(x, bins, (0, 1))


def uniques(size: int, bins: int) -> tuple[Call, Call]:
    """`unique_counts` of int64 keys."""
    x = np.random.default_rng(0).integers(0, bins, size)
    return lambda: pc.unique_counts(x), lambda: np.unique_counts(x)


def add_ats(size: int, bins: int) -> tuple[Call, Call]:
    """`add_at` of one at int64 indices."""
    x = np.random.default_rng(0).integers(0, bins, size)
    ours, theirs = np.zeros(bins, np.int64), np.zeros(bins, np.int64)
    return lambda: pc.add_at(ours, x, 1), lambda: np.add.at(theirs, x, 1)


def increments(size: int, _: int) -> tuple[Call, Call]:
    """`increment` of int64 cells."""
    cells = np.zeros(size, np.int64)  # one array for both: its alignment makes a difference
    return lambda: pc.increment(cells), lambda: np.add(cells, 1, out=cells)


def by_threads(size: int) -> tuple[Call, Call]:
    """`bincount` by two threads and by one: the grain decides, because that changes nothing else about the call."""
    x = np.random.default_rng(0).integers(0, 1024, size)

    def call(grain: int) -> Any:
        pc.set_grain(grain)
        return pc.bincount(x)

    return lambda: call(size // 2), lambda: call(size)


FUNCTIONS: dict[str, tuple[Callable[[int, int], tuple[Call, Call]], float]] = {
    "bincount": (bincounts, 1.0),
    "histogram": (histograms, 1.0),
    "unique_counts": (uniques, 1.0),
    "add_at": (add_ats, 1.05),
    "increment": (increments, 1.05),
}
"""Our call and NumPy's, and the largest ratio that is acceptable."""


def seconds(call: Call, calls: int) -> float:
    """The time of one of several calls."""
    before = perf_counter()
    for _ in range(calls):
        call()
    return (perf_counter() - before) / calls


def compare(ours: Call, theirs: Call, rounds: int) -> tuple[float, float, float]:
    """The median ratio of neighbouring samples, and the median time of each call."""
    seconds(ours, 10)
    calls = max(1, int(SAMPLE_SECONDS / min(seconds(theirs, 3) for _ in range(3))))
    pairs = []
    for number in range(rounds):
        if number % 2:
            mine = seconds(ours, calls)
            its = seconds(theirs, calls)
        else:
            its = seconds(theirs, calls)
            mine = seconds(ours, calls)
        pairs.append((mine, its))
    return median(mine / its for mine, its in pairs), *(median(times) for times in zip(*pairs, strict=True))


def same(ours: Call, theirs: Call) -> bool:
    """Whether the results are equal."""
    mine, its = ours(), theirs()
    if its is None or mine is None:
        return True
    return all(map(np.array_equal, mine, its)) if isinstance(its, tuple) else np.array_equal(mine, its)


def main() -> int:
    """Measure, print and save; return 1 if a ratio is too large and that is checked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("functions", nargs="*", help="those to measure; all by default")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--pays", action="store_true", help="one thread against two: bincount of int64, 1 024 bins")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--check", action="store_true")
    words = parser.parse_args()
    kept = True
    rows = []

    def row(name: str, size: int, bins: int, ours: Call, theirs: Call, limit: float) -> None:
        nonlocal kept
        ratio, mine, its = compare(ours, theirs, words.rounds)
        kept &= ratio <= limit
        print(
            f"{name:<16}{size:>9}{bins:>9}{mine * 1e6:>10.2f}{its * 1e6:>10.2f}{ratio:>8.2f}{'!' * (ratio > limit)}",
            flush=True,
        )
        rows.append(
            {"function": name, "size": size, "bins": bins, "ratio": ratio, "limit": limit, "seconds": [mine, its]}
        )

    if words.pays:
        print(f"{'':<16}{'elements':>9}{'bins':>9}{'two, µs':>10}{'one, µs':>10}{'ratio':>8}")
        for size in PAY_SIZES:
            row("bincount", size, 1024, *by_threads(size), 1.0 if size >= 60_000 else np.inf)
    else:
        print(f"{'':<16}{'elements':>9}{'bins':>9}{'ours, µs':>10}{'NumPy, µs':>10}{'ratio':>8}")
        for name, (make, limit) in FUNCTIONS.items():
            for size in SIZES if not words.functions or name in words.functions else []:
                for bins in BINS[: 1 if name == "increment" else None]:
                    ours, theirs = make(size, bins)
                    if not same(ours, theirs):
                        raise SystemExit(f"{name} of {size} elements: not NumPy's result")
                    row(name, size, bins, ours, theirs, limit)
    if words.json:
        words.json.write_text(json.dumps({"environment": environment(), "rows": rows}, indent=1) + "\n")
    return 0 if kept or not words.check else 1


if __name__ == "__main__":
    sys.exit(main())
