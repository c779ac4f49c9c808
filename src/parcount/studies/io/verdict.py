"""The verdict on I/O: what threads are good for, where Python waits for a network and where it computes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from parcount.report.units import format_seconds, two_digits
from parcount.studies.core.analysis import FAILED, MEASURED, CellResult
from parcount.studies.core.cells import DISTURBED
from parcount.studies.core.claims import (
    GAIN_OF_NONE,
    NOT_ASKED,
    NOT_PARALLEL,
    PARALLEL,
    PARTLY,
    UNDECIDED,
    WIDE,
    Rule,
    claim_cells,
    classify,
    decide,
    gain,
    on_doubts,
)
from parcount.studies.core.findings import Findings, fastest, select, serial
from parcount.studies.core.statistics import LEAST_SAMPLES

FETCH, CONTROL = "fetch", "tally"
"""The workload that waits, and the one that computes."""

FOR_BOTH, FOR_WAITING, FOR_COMPUTING, FOR_NEITHER = "for both", "for waiting", "for computing", "for neither"

GAINS = {PARALLEL, PARTLY}

TEXTS = {
    "fetches": "{one.workers} threads fetch {one.speedup} as many pages a second as one worker",
    "computes": "{one.workers} threads run the Python loop of {one.workload} {one.speedup} as fast as one",
}

RULES = (
    Rule(
        NOT_ASKED,
        "What threads are good for was not decided, because one core is available here, on which threads that compute "
        "gain nothing{details}.",
        {"measured": {False}, "available": {1}},
    ),
    Rule(
        NOT_ASKED,
        "What threads are good for was not asked. That takes several threads, the client, and no cell that fails"
        "{details}.",
        {"measured": {False}},
    ),
    Rule(UNDECIDED, "What threads are good for is undecided{details}.", {"doubt": {True}}),
    Rule(
        FOR_BOTH,
        "Threads win where Python waits and where it computes{reason}{details}.",
        {"faster": {True}, "computes": GAINS},
    ),
    Rule(FOR_WAITING, "Threads win where Python waits, and not where it computes{details}.", {"faster": {True}}),
    Rule(
        FOR_COMPUTING,
        "Threads win where Python computes{reason}, and not where it waits{details}.",
        {"computes": GAINS},
    ),
    Rule(FOR_NEITHER, "Threads win neither where Python waits nor where it computes{details}."),
)
"""The answers by two claims: the threads that fetch most pages, and those of the control."""

BUSY = 0.8
"""Share of the time that a server computes from which it may be what limits its clients."""


def conclude(found: Findings) -> tuple[str, list[str]]:
    """Return the answer and the sentences, as `Experiment.conclude`."""
    waits = fastest([one for one in select(found.results, FETCH, "threads") if one.workers > 1])
    computes = found.claim(CONTROL, "python", "threads")
    claims = {
        "fetches": None if waits is None else classify(waits),
        "computes": computes if computes is not None and computes.speedup else None,
    }
    faster = None if waits is None else _is_faster(waits)
    answer, sentence = decide(
        RULES,
        claims,
        TEXTS,
        {
            "measured": None not in claims.values(),
            "available": found.available,
            "faster": faster,
            "doubt": faster is None or (computes is not None and computes.answer == UNDECIDED),
        },
        reason="" if found.gil else ", because this Python has no GIL",
    )
    return answer, [
        sentence,
        *_on_the_reason(found),
        *_on_processes(found),
        *_on_the_fastest(found),
        *_on_steps(found),
        *_on_the_limit(found),
        *_on_the_server(found),
        # The sentences above already say what is undecided between the executions that fetch.
        *on_doubts([claim for claim in found.claims if claim.workload == CONTROL or claim.because != WIDE]),
    ]


def claimed(results: Sequence[CellResult], available: int) -> list[CellResult]:
    """Return the cells that claims are about: every number of workers that fetch, for these need no cores."""
    return [
        *(one for one in results if one.workload == FETCH and one.workers > 1 and one.status in (MEASURED, FAILED)),
        *claim_cells([one for one in results if one.workload == CONTROL], available),
    ]


def per_unit(result: CellResult, seconds: Sequence[float]) -> float | None:
    """Return the median of a cell's CPU times per page or increment; None if there are none."""
    return float(np.median(seconds)) / result.work if seconds and result.work else None


def waiting(result: CellResult) -> float | None:
    """Return the median share of the time in which a single worker did not compute.

    Rounds in which it waited for a core do not count. None if there are too few others.
    """
    if len(result.cpu) != len(result.seconds):
        return None
    rounds = zip(result.cpu, result.seconds, result.waited, strict=True)
    shares = [max(0.0, 1 - cpu / seconds) for cpu, seconds, waited in rounds if waited <= DISTURBED]
    return float(np.median(shares)) if len(shares) >= LEAST_SAMPLES else None


def _best(found: Findings, execution: str) -> CellResult | None:
    return fastest(select(found.results, FETCH, execution))


def _is_faster(result: CellResult) -> bool | None:
    """Whether a cell is faster than the serial one; None if that is undecided."""
    if result.speedup is None or result.clean < LEAST_SAMPLES:
        return None
    return result.speedup.exceeds(1 + GAIN_OF_NONE)


def _on_the_reason(found: Findings) -> list[str]:
    fetches, counts = serial(found.results, FETCH), serial(found.results, CONTROL)
    if fetches is None or counts is None or not fetches.rate:
        return []
    waits, idles = waiting(fetches), waiting(counts)
    if waits is None or idles is None:
        return []
    page = f"one worker waits for {100 * waits:.0f} % of the {format_seconds(1 / fetches.rate)} that a page takes"
    loop = f"The loop of tally waits for {100 * idles:.0f} %"
    if found.gil:
        released = f"A thread releases the GIL while it waits for the network: {page}."
        return [f"{released} {loop} and holds the GIL, so its threads take turns."]
    return [f"Workers that fetch need no core each: {page}. {loop}, so each of its workers needs one."]


def _on_processes(found: Findings) -> list[str]:
    """The other half of the control: what separate GILs gain."""
    claim = found.claim(CONTROL, "python", "processes")
    if claim is None or claim.answer == UNDECIDED:
        return []
    return [f"{claim.workers} processes, each with its own GIL, run the loop of tally {claim.speedup} as fast as one."]


def _on_the_fastest(found: Findings) -> list[str]:
    """Which execution fetched most, and whether the next one is slower."""
    bests = [best for name in ("threads", "processes", "asyncio") if (best := _best(found, name)) is not None]
    if len(bests) < 2:
        return []
    bests.sort(key=lambda one: -(one.rate or 0.0))
    pages = "; ".join(f"{_workers(one)} {two_digits(one.rate or 0.0)} ({one.speedup})" for one in bests)
    sentence = f"Most pages a second: {pages}."
    compared = found.compare(*bests[:2])
    if compared is None:
        return [sentence]
    first, second = (_workers(one) for one in bests[:2])
    if compared.speedup.exceeds(1):
        return [f"{sentence} The fastest are {first}, {compared.speedup} as fast as {second}."]
    return [f"{sentence} Whether {first} are faster than {second} is undecided: {compared.speedup}."]


def _on_steps(found: Findings) -> list[str]:
    """From which number of threads on more do not help."""
    threads = select(found.results, FETCH, "threads")
    alone = serial(found.results, FETCH)
    if threads and alone is not None and threads[0].workers > 1:
        threads.insert(0, alone)
    step = None
    for fewer, more in pairwise(threads):
        step = found.compare(more, fewer)
        if step is None:
            return []
        times = more.workers / fewer.workers
        if gain(step.speedup, times) == NOT_PARALLEL:
            return [f"Threads stop gaining from {fewer.workers} on: {more.workers} are {step.speedup} as fast."]
        if step.speedup.low <= 1 + GAIN_OF_NONE * (times - 1):
            whether = f"Whether {more.workers} threads gain on {fewer.workers} is undecided"
            return [f"{whether}: they are {step.speedup} as fast."]
    if step is None:
        return []
    fewer, more = threads[-2:]
    return [f"Threads gain at every step: {more.workers} are {step.speedup} as fast as {fewer.workers}."]


def _on_the_limit(found: Findings) -> list[str]:
    """How many pages a second one core has CPU time for, and how many workers fetch that many."""
    sentences = []
    alone = serial(found.results, FETCH)
    for name, who in (("threads", "thread"), ("asyncio", "task")):
        best = _best(found, name)
        if best is None or not (price := per_unit(best, best.cpu)):
            continue
        text = f"With {_workers(best)}, a page takes {format_seconds(price)} of CPU time in its {who}"
        text += f": one core is enough for about {two_digits(1 / price)} pages a second"
        if found.gil and name == "threads":
            text += " (one GIL for somewhat more, because the system sends and receives without it)"
        if alone is not None and alone.rate and (share := waiting(alone)) is not None:
            text += f", which about {math.ceil((share / alone.rate + price) / price)} {who}s fetch"
        sentences.append(f"{text}.")
    return sentences


def _on_the_server(found: Findings) -> list[str]:
    """What the server took of the same cores, and whether it was the limit."""
    cells = [one for one in found.results if one.rate and one.server]
    if not cells:
        return []
    busiest = max(cells, key=_server_share)
    share = _server_share(busiest)
    text = f"The server took {format_seconds(per_unit(busiest, busiest.server) or 0.0)} of CPU time a page on the same "
    text += f"cores. It computed for at most {100 * share:.0f} % of the time, "
    return [f"{text}with {_workers(busiest)}, and may limit these." if share >= BUSY else f"{text}and was no limit."]


def _server_share(result: CellResult) -> float:
    return float(np.median([cpu / seconds for cpu, seconds in zip(result.server, result.seconds, strict=True)]))


def _workers(result: CellResult) -> str:
    return f"{result.workers} {result.execution.replace('asyncio', 'asyncio tasks')}"
