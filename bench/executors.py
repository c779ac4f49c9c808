"""`Processes` against `concurrent.futures.ProcessPoolExecutor`: small and large items, and one submitted call.

    python bench/executors.py [--rounds N] [--json FILE]

Both pools have two workers, which have been started before. In each round each of them runs each row, in turn; a row
shows the medians of the rounds, and the median of the ratios within the rounds: above 1, ours is faster.
"""

from __future__ import annotations

import argparse
import json
import operator
import statistics
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import parcount as pc
from parcount.studies.core.environment import environment

WORKERS = 2
TINY = range(-20_000, 0)
CHUNK_SIZES = (100, 500, 2500, 5000)
CALLS = 200


def submit_many(executor: Any) -> bool:
    """Submit one call after another, and await each; returns whether the results are right."""
    return all(executor.submit(pow, 2, 10).result() == 1024 for _ in range(CALLS))


def seconds(function: Callable[[], bool]) -> float:
    """How long one call takes, which has to return that its results are right."""
    begun = perf_counter()
    right = function()
    taken = perf_counter() - begun
    assert right, "a wrong result"
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the medians and ratios to a file")
    options = parser.parse_args()

    large = [np.full(1 << 17, number, np.float64) for number in range(200)]
    total = [float(array.sum()) for array in large]
    negated = [-number for number in TINY]
    with pc.Processes(WORKERS) as ours, ProcessPoolExecutor(WORKERS) as theirs:
        rows: dict[str, tuple[float, Callable[[], bool], list[Callable[[], bool]]]] = {
            "20 000 tiny items": (
                1,
                lambda: ours.map(operator.neg, TINY) == negated,
                [
                    lambda size=size: [*theirs.map(operator.neg, TINY, chunksize=size)] == negated
                    for size in CHUNK_SIZES
                ],
            ),
            "200 items of 1 MB, one number back": (
                1,
                lambda: ours.map(np.sum, large) == total,
                [lambda size=size: [*theirs.map(np.sum, large, chunksize=size)] == total for size in (1, 5)],
            ),
            "200 items of 1 MB, 1 MB back": (
                1,
                lambda: len(ours.map(np.negative, large)) == 200,
                [lambda size=size: len([*theirs.map(np.negative, large, chunksize=size)]) == 200 for size in (1, 5)],
            ),
            "a submitted call and its result": (CALLS, lambda: submit_many(ours), [lambda: submit_many(theirs)]),
        }
        samples: dict[str, list[tuple[float, list[float]]]] = {name: [] for name in rows}
        for number in range(options.rounds + 1):
            for name, (_, mine, others) in rows.items():
                sample = seconds(mine), [seconds(other) for other in others]
                if number:  # the first one warms up
                    samples[name].append(sample)

    results = {}
    print(f"{'':36}{'parcount':>12}{'executor':>12}{'ratio':>8}")
    for name, (calls, _, _) in rows.items():
        taken = samples[name]
        best = min(range(len(taken[0][1])), key=lambda which: statistics.median(other[which] for _, other in taken))
        mine = statistics.median(one for one, _ in taken) / calls
        theirs_best = statistics.median(other[best] for _, other in taken) / calls
        ratio = statistics.median(other[best] / one for one, other in taken)
        results[name] = {"parcount": mine, "executor": theirs_best, "ratio": ratio}
        print(f"{name:36}{1e3 * mine:9.3f} ms{1e3 * theirs_best:9.3f} ms{ratio:8.2f}")
    if options.json:
        options.json.write_text(json.dumps({"environment": environment(), "rows": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
