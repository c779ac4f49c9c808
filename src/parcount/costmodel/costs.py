"""Measure the cost of each step of a job on this machine.

Every probe runs once per round, in shuffled order, like the cells of a study. A cost, often a difference of two times,
is computed within a round. The result is its median over the rounds.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from statistics import median
from time import perf_counter

import numpy as np

from parcount.costmodel.jobs import PlannedJob
from parcount.costmodel.model import CELL
from parcount.costmodel.parameters import PARAMETERS
from parcount.costmodel.process_startup import measure_startup
from parcount.execution.base import Execution
from parcount.execution.pinned_threads import PinnedThreads, pinned_threads
from parcount.execution.processes.execution import Processes
from parcount.kernels.job import count_part, table, total
from parcount.studies.core.driver import Progress
from parcount.studies.core.statistics import LEAST_SAMPLES, estimate
from parcount.system.cores import available_cores

SECONDS = 10.0

MEASURED, GIVEN, ASSUMED = SOURCES = ("measured", "given", "assumed")

Probe = tuple[str, Callable[[], dict[str, float]]]
"""A description, and a function that measures and returns costs by name."""

MAX_DATA = 1 << 27
"""Most bytes to count and to read: more than fits in a cache."""

MAX_KEYS = 1 << 26
"""Most keys to count where keys are generated while they are counted."""

PIPE_BYTES = 1 << 25
"""Most bytes to send through the pipes."""

PARTS = 64
"""Parts dispatched in one call to measure the cost of each."""

MIN_SECONDS = 1e-9
"""Smallest difference of two times in seconds: it divides, and so must not be 0."""

PAGE = 4096
"""Page size in bytes. The first access to each page of a table makes it resident."""

MIN_TIMED_SECONDS = 0.002
"""Seconds for which a short call is repeated, to reduce the effect of a single interruption."""


@dataclass(frozen=True)
class Cost:
    """One cost, in seconds or bytes a second.

    Attributes
    ----------
    value, low, high : float
        The median of the measurements with its 95 % bootstrap interval; all three are equal if it was not measured.
    source : {"measured", "given", "assumed"}
        The origin of the value.
    """

    value: float
    low: float
    high: float
    source: str


def unmeasured(value: float, source: str) -> Cost:
    """A given or assumed cost."""
    return Cost(value, value, value, source)


def assumed_costs() -> dict[str, Cost]:
    """Default values of the costs that cannot be measured on one machine."""
    return {
        name: unmeasured(parameter.assumed, ASSUMED)
        for name, parameter in PARAMETERS.items()
        if parameter.assumed is not None
    }


def measure(job: PlannedJob, seconds: float = SECONDS, progress: Progress | None = None) -> dict[str, Cost]:
    """Measure the costs of this machine; OSError if the system does not start the workers.

    At most `MAX_DATA` bytes are counted. At least three rounds are run, however long they take. `progress` is called as
    by `parcount.study`.
    """
    began = perf_counter()

    def report(what: str) -> None:
        passed = perf_counter() - began
        if progress is not None:
            progress(what, passed, max(passed, seconds))

    with ExitStack() as stack:
        report("data and workers")
        probes = _probes(job, stack)
        rounds = run_rounds(probes, until=began + seconds, report=report)
    medians = {name: estimate([one[name] for one in rounds]) for name in PARAMETERS if name in rounds[0]}
    return {name: Cost(found.median, found.low, found.high, MEASURED) for name, found in medians.items()}


def sample_size(job: PlannedJob) -> int:
    """Number of keys that the kernel is measured with."""
    return min(job.size, MAX_DATA // job.key_bytes if job.key_bytes else MAX_KEYS)


def run_rounds(
    probes: Sequence[Probe], until: float, report: Callable[[str], None], clock: Callable[[], float] = perf_counter
) -> list[dict[str, float]]:
    """Run rounds of all probes in shuffled order while there is time for another; return the costs of each round.

    There are at least `LEAST_SAMPLES` rounds.
    """
    rounds: list[dict[str, float]] = []
    order, began = random.Random(0), clock()
    while len(rounds) < LEAST_SAMPLES or clock() + (clock() - began) / len(rounds) < until:
        found: dict[str, float] = {}
        for what, probe in order.sample(probes, len(probes)):
            report(f"round {len(rounds) + 1}: {what}")
            found |= probe()
        rounds.append(found)
    return rounds


def median_seconds(call: Callable[[], object]) -> float:
    """Median time of a call in seconds, over `MIN_TIMED_SECONDS` seconds of calls."""
    times: list[float] = []
    until = perf_counter() + MIN_TIMED_SECONDS
    while (start := perf_counter()) < until or not times:
        call()
        times.append(perf_counter() - start)
    return median(times)


def _probes(job: PlannedJob, stack: ExitStack) -> list[Probe]:
    """All probes; `stack` ends the workers that they use."""
    several = max(2, available_cores())
    keys, few = job.keys(sample_size(job)), job.keys(1 + 2 * job.bins * CELL // PAGE)
    one = keys[:1] * 0 if isinstance(keys, np.ndarray) else 1
    memory = np.ones(min(job.size, MAX_DATA // CELL)) if isinstance(keys, int) else keys
    tables = [table(job.bins) for _ in range(2)]
    processes = stack.enter_context(Processes(several))
    buffer = np.ones(min(memory.nbytes, PIPE_BYTES) // several, np.uint8)

    def count() -> dict[str, float]:
        call = median_seconds(lambda: job.count(one, bins=1, threads=1))
        allocate = max(0.0, median_seconds(lambda: job.count(few, threads=1)) - call)
        seconds = median_seconds(lambda: job.count(keys, threads=1)) - call - allocate
        return {"call": call, "table": allocate / job.bins, "kernel": max(MIN_SECONDS, seconds) / sample_size(job)}

    def merge() -> dict[str, float]:
        return {"merge": median_seconds(lambda: total(tables)) / job.bins}

    def read() -> dict[str, float]:
        threads, shares = pinned_threads(several), np.array_split(memory, several)
        alone = memory.nbytes / median_seconds(lambda: np.max(memory))
        together = memory.nbytes / median_seconds(lambda: threads.map(np.max, shares))
        return {"read.one": alone, "read.all": max(alone, together)}

    def pipe() -> dict[str, float]:
        seconds = median_seconds(lambda: processes.map(len, [buffer] * several))
        seconds -= median_seconds(lambda: processes.map(len, [buffer[:0]] * several))
        return {"processes.pipe": buffer.nbytes * several / max(MIN_SECONDS, seconds)}

    def dispatch(name: str, workers: Execution) -> Callable[[], dict[str, float]]:
        kernel, minimal = job.minimal_job()
        count, (part,) = partial(count_part, kernel), minimal.split(1)

        def probe() -> dict[str, float]:
            one = median_seconds(lambda: workers.map(count, [part]))
            many = median_seconds(lambda: workers.map(count, [part] * PARTS))
            each = max(0.0, many - one) / (PARTS - 1)
            return {f"{name}.dispatch": each, f"{name}.latency": max(0.0, one - each)}

        return probe

    def start_threads() -> dict[str, float]:
        one = median_seconds(lambda: _start_threads(1))
        return _startup_costs("threads", one, one, median_seconds(lambda: _start_threads(several)), several)

    def start_processes() -> dict[str, float]:
        return _startup_costs("processes", *measure_startup(several), several)

    return [
        ("counting", count),
        ("merging", merge),
        ("reading", read),
        ("sending", pipe),
        ("dispatching to threads", dispatch("threads", pinned_threads(several))),
        ("dispatching to processes", dispatch("processes", processes)),
        ("starting threads", start_threads),
        ("starting processes", start_processes),
    ]


def _start_threads(workers: int) -> None:
    with PinnedThreads(workers) as threads:
        threads.map(abs, [0] * workers)


def _startup_costs(name: str, first: float, again: float, several: float, workers: int) -> dict[str, float]:
    """The cost of starting workers: once, and for each of them.

    Examples
    --------
    >>> _startup_costs("x", 0.5, 0.25, 0.75, 3)
    {'x.start': 0.25, 'x.worker': 0.25}
    """
    each = max(0.0, several - again) / (workers - 1)
    return {f"{name}.start": max(0.0, first - each), f"{name}.worker": each}
