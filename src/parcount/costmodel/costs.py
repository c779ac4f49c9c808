"""What each step of a job costs on this machine, measured.

Every probe runs once a round, in a new order each round, as the cells of a study do. A cost, often a difference of two
times, is worked out inside a round; what counts is its median over the rounds.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
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
from parcount.kernels.job import table, total
from parcount.studies.core.driver import Progress
from parcount.studies.core.statistics import LEAST_SAMPLES, estimate
from parcount.system.cores import available_cores

SECONDS = 10.0

MEASURED, GIVEN, ASSUMED = SOURCES = ("measured", "given", "assumed")

Probe = tuple[str, Callable[[], dict[str, float]]]
"""What is looked at, for people; and the look, which tells costs by their names."""

MAX_DATA = 1 << 27
"""Bytes that are counted and read: more than any cache, unless the job itself is less."""

MAX_KEYS = 1 << 26
"""Keys that are counted, where they lie nowhere or are small."""

PIPE_BYTES = 1 << 25
"""Bytes sent through a pipe."""

PARTS = 64
"""Parts handed out at once to see what each adds."""

MIN_SECONDS = 1e-9
"""Seconds: a difference of two times that comes out smaller cannot be told from nothing."""

PAGE = 4096
"""Bytes that the system gives out, and wipes, at the first touch: a table is there once each has had a key."""

MIN_TIMED_SECONDS = 0.002
"""Seconds for which a short call is repeated: a single wake-up of the system matters less then."""


@dataclass(frozen=True)
class Cost:
    """One cost, in seconds or bytes a second.

    Attributes
    ----------
    value : float
        The median, or what was given.
    low, high : float
        Its 95 % bootstrap interval; `value` twice if it was not measured.
    source : {"measured", "given", "assumed"}
        Where it is from.
    """

    value: float
    low: float
    high: float
    source: str


def unmeasured(value: float, source: str) -> Cost:
    """A cost that nobody has measured."""
    return Cost(value, value, value, source)


def assumed_costs() -> dict[str, Cost]:
    """The costs that cannot be measured on one machine."""
    return {
        name: unmeasured(parameter.assumed, ASSUMED)
        for name, parameter in PARAMETERS.items()
        if parameter.assumed is not None
    }


def measure(job: PlannedJob, seconds: float = SECONDS, progress: Progress | None = None) -> dict[str, Cost]:
    """Measure what one machine can tell.

    Parameters
    ----------
    job : PlannedJob
        What is counted; at most `MAX_DATA` bytes of it.
    seconds : float, optional
        How long; at least three rounds are measured, however long they take.
    progress : callable, optional
        As `parcount.study` takes.

    Returns
    -------
    dict of str to Cost
        By the names of `PARAMETERS`; not those that are assumed.

    Raises
    ------
    OSError
        If the system does not start the workers.
    """
    began = perf_counter()

    def told(what: str) -> None:
        passed = perf_counter() - began
        if progress is not None:
            progress(what, passed, max(passed, seconds))

    with ExitStack() as stack:
        told("data and workers")
        probes = _probes(job, stack)
        rounds = run_rounds(probes, until=began + seconds, told=told)
    return {name: _summarize([one[name] for one in rounds]) for name in PARAMETERS if name in rounds[0]}


def sample_size(job: PlannedJob) -> int:
    """How many keys the kernel's cost is measured with."""
    return min(job.size, MAX_DATA // job.key_bytes if job.key_bytes else MAX_KEYS)


def run_rounds(
    probes: Sequence[Probe], until: float, told: Callable[[str], None], clock: Callable[[], float] = perf_counter
) -> list[dict[str, float]]:
    """Run all probes once a round, shuffled, until there is no time for another round; at least `LEAST_SAMPLES` times.

    Returns
    -------
    list of dict of str to float
        What the probes say, round by round.
    """
    rounds: list[dict[str, float]] = []
    order, began = random.Random(0), clock()
    while len(rounds) < LEAST_SAMPLES or clock() + (clock() - began) / len(rounds) < until:
        found: dict[str, float] = {}
        for what, probe in order.sample(probes, len(probes)):
            told(f"round {len(rounds) + 1}: {what}")
            found |= probe()
        rounds.append(found)
    return rounds


def median_seconds(call: Callable[[], object]) -> float:
    """Seconds that a call takes: the median of as many as fill `MIN_TIMED_SECONDS` seconds."""
    times: list[float] = []
    until = perf_counter() + MIN_TIMED_SECONDS
    while (start := perf_counter()) < until or not times:
        call()
        times.append(perf_counter() - start)
    return median(times)


def _probes(job: PlannedJob, stack: ExitStack) -> list[Probe]:
    """All probes; the workers that they need end with `stack`."""
    several = max(2, available_cores())
    keys, few = job.keys(sample_size(job)), job.keys(1 + 2 * job.bins * CELL // PAGE)
    one = keys[:1] * 0 if isinstance(keys, np.ndarray) else 1
    memory = np.ones(min(job.size, MAX_DATA // CELL)) if isinstance(keys, int) else keys
    tables = [table(job.bins) for _ in range(2)]
    processes = stack.enter_context(Processes(several))
    parcel = np.ones(min(memory.nbytes, PIPE_BYTES) // several, np.uint8)

    def count() -> dict[str, float]:
        call = median_seconds(lambda: job.count(one, bins=1, threads=1))
        made = max(0.0, median_seconds(lambda: job.count(few, threads=1)) - call)
        seconds = median_seconds(lambda: job.count(keys, threads=1)) - call - made
        return {"call": call, "table": made / job.bins, "kernel": max(MIN_SECONDS, seconds) / sample_size(job)}

    def merge() -> dict[str, float]:
        return {"merge": median_seconds(lambda: total(tables)) / job.bins}

    def read() -> dict[str, float]:
        threads, shares = pinned_threads(several), np.array_split(memory, several)
        alone = memory.nbytes / median_seconds(lambda: np.max(memory))
        together = memory.nbytes / median_seconds(lambda: threads.map(np.max, shares))
        return {"read.one": alone, "read.all": max(alone, together)}

    def pipe() -> dict[str, float]:
        seconds = median_seconds(lambda: processes.map(len, [parcel] * several))
        seconds -= median_seconds(lambda: processes.map(len, [parcel[:0]] * several))
        return {"processes.pipe": parcel.nbytes * several / max(MIN_SECONDS, seconds)}

    def hand(name: str, workers: Execution) -> Callable[[], dict[str, float]]:
        kernel, crumb = job.minimal_job()
        (part,) = crumb.split(1)

        def probe() -> dict[str, float]:
            one = median_seconds(lambda: workers.map(kernel, [part]))
            many = median_seconds(lambda: workers.map(kernel, [part] * PARTS))
            dispatch = max(0.0, many - one) / (PARTS - 1)
            return {f"{name}.dispatch": dispatch, f"{name}.latency": max(0.0, one - dispatch)}

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
        ("handing to threads", hand("threads", pinned_threads(several))),
        ("handing to processes", hand("processes", processes)),
        ("starting threads", start_threads),
        ("starting processes", start_processes),
    ]


def _start_threads(workers: int) -> None:
    with PinnedThreads(workers) as fresh:
        fresh.map(abs, [0] * workers)


def _startup_costs(name: str, first: float, again: float, several: float, workers: int) -> dict[str, float]:
    """What starting workers takes once, and for each of them.

    Examples
    --------
    >>> _startup_costs("x", 0.5, 0.25, 0.75, 3)
    {'x.start': 0.25, 'x.worker': 0.25}
    """
    each = max(0.0, several - again) / (workers - 1)
    return {f"{name}.start": max(0.0, first - each), f"{name}.worker": each}


def _summarize(rounds: Sequence[float]) -> Cost:
    found = estimate(rounds)
    return Cost(found.median, found.low, found.high, MEASURED)
