"""What the probe of the GIL costs the threads that it watches: ``python bench/gil_probe.py``.

Each load is a fixed amount of work in one thread or two. In each round it is timed without the probe and with the probe
at each interval, in shuffled order. For each load and interval the script prints medians of the rounds:

- slowdown: the ratio of the times inside a round, with its interval.
- blocked: the share of time in which a single thread was neither running nor ready to run, less that without the probe:
  it waited for the GIL. It depends less than the slowdown on what else the machine does.
- CPU: the CPU time of the probe's thread. Where all cores are busy, it lengthens the work too.

``--json FILE`` saves the times; with ``--check`` the exit code is non-zero if blocked and CPU are together above 1 % at
the default interval of the probe. Only Linux counts the time for which a thread is ready.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from threading import Barrier, Thread
from time import perf_counter
from typing import Any

from parcount._native import gil_probe
from parcount.studies.core.environment import environment
from parcount.studies.core.statistics import estimate

INTERVALS = 0.001, 0.002, 0.005, 0.01, 0.02
DEFAULT = 0.01
MOST = 0.01
TIME_LIMIT = 300.0
DATA = bytes(1_000_000)


def compute(units: int) -> None:
    """Hold the GIL."""
    for number in range(units):
        number * number


def hash_data(units: int) -> None:
    """Release the GIL."""
    for _ in range(units):
        hashlib.sha256(DATA)


LOADS: dict[str, tuple[Callable[[int], None], int, int]] = {
    "Python": (compute, 1, 10_000),
    "Python, 2 threads": (compute, 2, 10_000),
    "hashlib": (hash_data, 1, 1),
    "hashlib, 2 threads": (hash_data, 2, 1),
}
"""Name: the work, how many threads do it, and the units with which `calibrated` begins."""


def ready_or_running() -> float:
    """Seconds for which the calling thread ran or was ready to run."""
    # The first number, the time for which it ran, lags behind by as much as a tick of the scheduler.
    _, ready, _ = Path("/proc/thread-self/schedstat").read_text().split()
    return time.thread_time() + int(ready) / 1e9


def timed(work: Callable[[int], None], threads: int, units: int) -> tuple[float, float | None]:
    """Seconds from the first start to the last end, and the share of them for which a single thread was blocked."""
    spans: list[tuple[float, float]] = []
    blocked: list[float] = []
    barrier = Barrier(threads)

    def run() -> None:
        barrier.wait(TIME_LIMIT)
        used = ready_or_running()
        start = perf_counter()
        work(units)
        end = perf_counter()
        spans.append((start, end))
        blocked.append(1 - (ready_or_running() - used) / (end - start))

    workers = [Thread(target=run) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return max(end for _, end in spans) - min(start for start, _ in spans), blocked[0] if threads == 1 else None


def calibrated(work: Callable[[int], None], threads: int, units: int, seconds: float) -> int:
    """The units of work for each thread that take the given time."""
    while (taken := timed(work, threads, units)[0]) < seconds / 2:
        units *= 2
    return max(1, round(units * seconds / taken))


def probe_cpu_time() -> float:
    """CPU seconds of the probe's thread so far."""
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "parcount GIL probe")
    return time.clock_gettime(time.pthread_getcpuclockid(thread.ident or 0))


def main() -> int:
    """Measure, print and save; return 1 if a slowdown is too large and that is checked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=0.2, help="of one sample")
    parser.add_argument("--intervals", type=float, nargs="+", default=INTERVALS, metavar="S")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    units = {name: calibrated(*load, options.seconds) for name, load in LOADS.items()}
    samples: dict[tuple[str, float], list[dict[str, Any]]] = {}
    order = random.Random(0)
    for seed in range(options.rounds):
        cells = [(name, interval) for name in LOADS for interval in (0.0, *options.intervals)]
        for name, interval in order.sample(cells, len(cells)):
            work, threads, _ = LOADS[name]
            sample: dict[str, Any] = {}
            probe = gil_probe.start(interval, seed) if interval else None
            begun = perf_counter()
            sample["seconds"], sample["blocked"] = timed(work, threads, units[name])
            if probe:
                sample["cpu"] = probe_cpu_time() / (perf_counter() - begun)
                probes, held, *_ = gil_probe.stop(probe)
                sample["held"] = held / max(probes, 1)
            samples.setdefault((name, interval), []).append(sample)
    kept = True
    rows = []
    print(f"{'':<20}{'interval':>9}{'slowdown':>11}{'':>19}{'blocked':>11}{'CPU':>9}{'held':>8}")
    for name in LOADS:
        for interval in options.intervals:
            pairs = list(zip(samples[name, 0.0], samples[name, interval], strict=True))
            slowdown = estimate([probed["seconds"] / plain["seconds"] - 1 for plain, probed in pairs])
            blocked = None
            if LOADS[name][1] == 1:
                blocked = median(probed["blocked"] - plain["blocked"] for plain, probed in pairs)
            cpu, held = (median(probed[what] for _, probed in pairs) for what in ("cpu", "held"))
            rows.append(
                {"load": name, "interval": interval, "slowdown": vars(slowdown), "blocked": blocked, "cpu": cpu}
            )
            kept &= interval != DEFAULT or (blocked or 0) + cpu <= MOST
            print(
                f"{name:<20}{1e3 * interval:6.0f} ms{100 * slowdown.median:9.2f} %"
                f" [{100 * slowdown.low:6.2f} to {100 * slowdown.high:5.2f}]"
                f"{'' if blocked is None else f'{100 * blocked:.2f} %':>11}{100 * cpu:7.2f} %{100 * held:6.0f} %"
            )
    if options.json:
        measured = [
            {"load": name, "interval": interval, "samples": taken} for (name, interval), taken in samples.items()
        ]
        written = {"environment": environment(), "rows": rows, "measured": measured}
        options.json.write_text(json.dumps(written, indent=1) + "\n")
    return 0 if kept or not options.check else 1


if __name__ == "__main__":
    sys.exit(main())
