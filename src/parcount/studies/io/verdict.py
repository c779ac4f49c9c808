"""The verdict on I/O: what threads are good for, where Python waits for a network and where it computes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from parcount.report.units import format_seconds, two_digits
from parcount.studies.core.analysis import CellResult
from parcount.studies.core.cells import DISTURBED
from parcount.studies.core.claims import NOT_ASKED, UNDECIDED, Claim, on_doubts
from parcount.studies.core.findings import Findings, fastest, select, serial
from parcount.studies.core.statistics import LEAST_SAMPLES

FETCH, CONTROL = "fetch", "tally"
"""The workload that waits, and the one that computes."""

FOR_BOTH, FOR_WAITING, FOR_COMPUTING, FOR_NEITHER = "for both", "for waiting", "for computing", "for neither"

GAIN = 0.2
"""What each further worker must add, in units of the first one's speed, to be called a gain."""

COMPUTING = "threads that compute are faster than one"

BUSY = 0.8
"""Share of the time that a server computes from which it may be what limits its clients."""


def claims(found: Findings) -> list[Claim]:
    """Return the claims on threads that fetch, with each number of workers, and on threads that compute."""
    alone = serial(found.results, FETCH)
    made = [
        found.faster(f"{one.workers} threads fetch faster than one", one, alone, 1 + GAIN)
        for one in select(found.results, FETCH, "threads")
        if alone is not None and one.workers > 1
    ]
    several, one = found.widest(CONTROL, "python", "threads"), serial(found.results, CONTROL)
    if several is not None and several.rate and one is not None:
        made.append(found.faster(COMPUTING, several, one, 1 + GAIN))
    return made


def conclude(found: Findings, claims: Sequence[Claim]) -> tuple[str, list[str]]:
    """Return the answer and the sentences, as `Experiment.conclude`."""
    answer, sentence = _answer(found, claims)
    return answer, [
        sentence,
        *_on_the_reason(found),
        *_on_processes(found),
        *_on_the_fastest(found),
        *_on_steps(found),
        *_on_the_limit(found),
        *_on_the_server(found),
        *on_doubts(claims),
    ]


def _answer(found: Findings, claims: Sequence[Claim]) -> tuple[str, str]:
    """What threads are good for, by the claims on those that fetch and on those that compute."""
    best = fastest([one for one in select(found.results, FETCH, "threads") if one.workers > 1])
    several = found.widest(CONTROL, "python", "threads")
    numbers = []
    if best is not None:
        numbers.append(f"{best.workers} threads fetch {best.speedup} as many pages a second as one worker")
    if several is not None and several.speedup is not None:
        numbers.append(f"{several.workers} threads run the Python loop of {CONTROL} {several.speedup} as fast as one")
    details = f": {'; '.join(numbers)}" if numbers else ""
    fetching = [claim.holds for claim in claims if claim.statement != COMPUTING]
    computing = [claim.holds for claim in claims if claim.statement == COMPUTING]
    if not fetching or not computing or several is None:
        why = "that takes several threads, the client, and no cell that fails"
        if found.available == 1:
            why = "one core is available here, on which threads that compute gain nothing"
        return NOT_ASKED, f"What threads are good for was not asked, because {why}{details}."
    waits = True if True in fetching else None if None in fetching else False
    computes = computing[0]
    if waits is None or computes is None or (several.disturbed and not (waits and computes)):
        return UNDECIDED, f"What threads are good for is undecided{details}."
    reason = "" if found.gil else ", because this Python has no GIL"
    answer, text = {
        (True, True): (FOR_BOTH, f"Threads win where Python waits and where it computes{reason}"),
        (True, False): (FOR_WAITING, "Threads win where Python waits, and not where it computes"),
        (False, True): (FOR_COMPUTING, f"Threads win where Python computes{reason}, and not where it waits"),
        (False, False): (FOR_NEITHER, "Threads win neither where Python waits nor where it computes"),
    }[waits, computes]
    return answer, f"{text}{details}."


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
    several = found.widest(CONTROL, "python", "processes")
    if several is None or several.speedup is None:
        return []
    return [f"{several.workers} processes, each with its own GIL, run that loop {several.speedup} as fast as one."]


def _on_the_fastest(found: Findings) -> list[str]:
    """Which execution fetched most, and whether the next one is slower."""
    bests = [best for name in ("threads", "processes", "asyncio") if (best := _best(found, name)) is not None]
    if len(bests) < 2:
        return []
    bests.sort(key=lambda one: -(one.rate or 0.0))
    pages = "; ".join(f"{_workers(one)} {two_digits(one.rate or 0.0)} ({one.speedup})" for one in bests)
    sentence = f"Most pages a second: {pages}."
    compared = found.compare(*bests[:2], decides=False)
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
        step = found.compare(more, fewer, decides=False)
        if step is None:
            return []
        times = more.workers / fewer.workers
        gains = step.speedup.exceeds(1 + GAIN * (times - 1))
        if gains is False:
            return [f"Threads stop gaining from {fewer.workers} on: {more.workers} are {step.speedup} as fast."]
        if gains is None:
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
