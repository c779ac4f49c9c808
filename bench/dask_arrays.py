"""Functions on dask arrays compared with those of `dask.array`: ``python bench/dask_arrays.py``.

The cluster has two worker processes with one thread each, which make the keys and keep them. Each function is timed
once per round, from the call to the counts, in interleaved and shuffled rounds. The script prints the median over the
rounds of the ratio of the two times, the smallest ratio that is acceptable, and the growth of the peak memory of this
process, which is client and scheduler. ``--json FILE`` saves the times; with ``--check`` the exit code is non-zero if a
ratio is too small. Every result is compared with that of dask.

The file is not called dask.py because it would then be imported instead of dask.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import resource
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import dask.array as da
import numpy as np
from distributed import Client, LocalCluster, wait

import parcount as pc
from parcount.studies.core.environment import environment

KEYS = 400_000_000
CHUNK = 20_000_000
BINS = 1024

FLOOR = 2.5
"""Smallest acceptable ratio of the time of dask to ours."""

MOST_GROWTH = 16 << 20
"""Bytes by which the client may grow: its memory does not depend on the number of keys."""

FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "bincount": lambda module, keys: module.bincount(keys, minlength=BINS),
    "histogram": lambda module, keys: module.histogram(keys, bins=100, range=(0, BINS))[0],
}


def peak() -> int:
    """Peak resident memory of this process, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main() -> int:
    """Measure, print and save; return 1 if a limit was missed and that is checked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--keys", type=int, default=KEYS)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    order = random.Random(0)
    calls = [(name, whose) for name in FUNCTIONS for whose in ("parcount", "dask")]
    seconds: dict[tuple[str, str], list[float]] = {call: [] for call in calls}
    cluster = LocalCluster(
        n_workers=2, threads_per_worker=1, memory_limit=None, dashboard_address=":0", silence_logs=logging.ERROR
    )
    with cluster, Client(cluster):
        made = da.random.default_rng(0).integers(0, BINS, options.keys, dtype=np.int32, chunks=CHUNK)
        keys = made.persist()
        wait(keys)
        before = peak()
        for function in FUNCTIONS.values():  # import everything, on the workers too
            function(pc, keys).compute()
        expected = {name: function(da, keys).compute() for name, function in FUNCTIONS.items()}
        for _ in range(options.rounds):
            for name, whose in order.sample(calls, len(calls)):
                start = perf_counter()
                counts = FUNCTIONS[name](pc if whose == "parcount" else da, keys).compute()
                seconds[name, whose].append(perf_counter() - start)
                if not np.array_equal(counts, expected[name]):
                    raise SystemExit(f"{name} by {whose}: the counts are wrong")
        growth = peak() - before
    kept = growth <= MOST_GROWTH
    rows = []
    print(f"{'':<12}{'its s':>9}{'our s':>9}{'ratio':>9}{'floor':>7}")
    for name in FUNCTIONS:
        ours, its = seconds[name, "parcount"], seconds[name, "dask"]
        ratio = median(other / one for one, other in zip(ours, its, strict=True))
        kept &= ratio >= FLOOR
        missed = "!" if ratio < FLOOR else ""
        print(f"{name:<12}{median(its):>9.3f}{median(ours):>9.3f}{ratio:>8.2f}×{FLOOR:>6.2f}{missed}")
        rows.append({"what": name, "ratio": ratio, "floor": FLOOR})
    print(f"the client grew by {growth / 2**20:.1f} MiB{'!' if growth > MOST_GROWTH else ''}")
    if options.json:
        measured = [{"what": what, "by": by, "seconds": times} for (what, by), times in seconds.items()]
        versions = {name: version(name) for name in ("dask", "distributed")}
        written = {"environment": environment() | {"dask": versions}, "keys": options.keys, "growth": growth}
        options.json.write_text(json.dumps(written | {"rows": rows, "measured": measured}, indent=1) + "\n")
    return 0 if kept or not options.check else 1


if __name__ == "__main__":
    sys.exit(main())
