"""What won where Python waits for a network and where it computes, in sentences, and why the two differ."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from parcount.studies.core.analysis import FAILED, MEASURED, CellResult, rate_ratios
from parcount.studies.core.cells import DISTURBED, Cell, Round
from parcount.studies.core.claims import (
    GAIN_OF_NONE,
    NOT_PARALLEL,
    UNDECIDED,
    WIDE,
    Claim,
    Comparison,
    Verdict,
    claim_cells,
    classify,
    gain,
    on_doubts,
    upper,
)
from parcount.studies.core.statistics import LEAST_SAMPLES, estimate

FETCH, CONTROL = "fetch", "tally"
"""The workload that waits, and the one that computes."""

FOR_BOTH, FOR_WAITING, FOR_COMPUTING, FOR_NEITHER = "for both", "for waiting", "for computing", "for neither"

BUSY = 0.8
"""Share of the time that a server computes from which it may be what limits its clients."""


def conclude(results: Sequence[CellResult], rounds: Sequence[Round], *, available: int, gil: bool) -> Verdict:
    """Return the verdict, as `Experiment.conclude`."""
    claims = _claims(results, available)
    found = _Found({result.cell: result for result in results if result.rate}, rounds, available)
    computing = next((one for one in claims if (one.workload, one.execution) == (CONTROL, "threads")), None)
    comparisons: list[Comparison] = []
    answer, sentence = _answer(found.best("threads"), computing, available, gil)
    sentences = [sentence, *_on_the_reason(found, gil), *_on_processes(claims)]
    for more, compared in (_on_the_first(found), _on_steps(found)):
        sentences += more
        comparisons += compared
    sentences += _on_the_limit(found, gil)
    sentences += _on_the_server(found)
    # The sentences above already say what is undecided between the executions that fetch.
    sentences += on_doubts([claim for claim in claims if claim.workload == CONTROL or claim.because != WIDE])
    return Verdict(answer, sentences, claims, comparisons)


def undecided_cells(results: Sequence[CellResult], available: int) -> Collection[Cell]:
    """The cells that need more rounds: measured, and undecided."""
    return {
        Cell(claim.workload, claim.variant, claim.execution, claim.workers)
        for claim in _claims(results, available)
        if claim.answer == UNDECIDED and claim.speedup is not None
    }


def cost(result: CellResult) -> float | None:
    """Seconds of CPU time that a page, or an increment, costs a worker, median; None if it was not measured."""
    if not result.cpu or not result.work:
        return None
    return float(np.median(result.cpu)) / result.work


def server_cost(result: CellResult) -> float | None:
    """Seconds of CPU time that a page costs the server, median; None if there was none."""
    if not result.server or not result.work:
        return None
    return float(np.median(result.server)) / result.work


def waiting(result: CellResult) -> float | None:
    """Of the time of a single worker, the share that it did not compute, median; None if too few rounds can tell.

    Those do not in which it waited for a core.
    """
    if len(result.cpu) != len(result.seconds):
        return None
    rounds = zip(result.cpu, result.seconds, result.waited, strict=True)
    shares = [max(0.0, 1 - cpu / seconds) for cpu, seconds, waited in rounds if waited <= DISTURBED]
    return float(np.median(shares)) if len(shares) >= LEAST_SAMPLES else None


def _claims(results: Sequence[CellResult], available: int) -> list[Claim]:
    """Of every number of workers that fetch, for these need no cores; of the control, as everywhere."""
    fetching = [result for result in results if result.workload == FETCH and result.workers > 1]
    counting = [result for result in results if result.workload == CONTROL]
    ran = [result for result in fetching if result.status in (MEASURED, FAILED)]
    return [classify(result) for result in (*ran, *claim_cells(counting, available))]


@dataclass(frozen=True)
class _Found:
    """What was measured, and how its cells compare inside rounds.

    Attributes
    ----------
    of : mapping of Cell to CellResult
        The cells that have a rate.
    rounds : sequence of dict
        Their samples.
    available : int
        Cores.
    """

    of: Mapping[Cell, CellResult]
    rounds: Sequence[Round]
    available: int

    def serial(self, workload: str) -> CellResult | None:
        return next((one for one in self.of.values() if (one.workload, one.execution) == (workload, "serial")), None)

    def fetching(self, execution: str) -> list[CellResult]:
        """From few to many workers."""
        there = [one for one in self.of.values() if (one.workload, one.execution) == (FETCH, execution)]
        return sorted(there, key=lambda one: one.workers)

    def best(self, execution: str) -> CellResult | None:
        """That with the most pages a second."""
        return max(self.fetching(execution), key=lambda one: one.rate or 0.0, default=None)

    def compare(self, over: CellResult, under: CellResult) -> Comparison | None:
        """How many times as fast one is as the other; None if too few rounds can tell."""
        work = {result.cell: result.work or 0 for result in (over, under)}
        speeds, clean = rate_ratios(self.rounds, work, over.cell, under.cell)
        if clean < LEAST_SAMPLES:
            return None
        return Comparison(*over.cell.key, f"{under.execution}/{under.workers}", estimate(speeds))


def _answer(waits: CellResult | None, computes: Claim | None, available: int, gil: bool) -> tuple[str, str]:
    """For what threads win."""
    fetches = runs = ""
    if waits is not None:
        fetches = f"{_workers(waits)} fetch {waits.speedup} as many pages a second as one worker"
    if computes is not None and computes.speedup is not None:
        runs = (
            f"{computes.workers} threads run the Python loop of {computes.workload} {computes.speedup} as fast as one"
        )
    if waits is None or computes is None or computes.speedup is None:
        if available == 1:
            why = "one core is available here, on which nothing that computes gains from threads"
        else:
            why = "that takes threads, the client installed, and no cell that fails"
        told = ", ".join(filter(None, (fetches, runs)))
        return "not asked", f"For what threads win cannot be told, for {why}{': ' if told else ''}{told}."
    wins = _wins(waits)
    if wins is None or computes.answer == UNDECIDED:
        return UNDECIDED, f"For what threads win is undecided: {fetches}, {runs}."
    if computes.answer == NOT_PARALLEL:
        if wins:
            return FOR_WAITING, f"Threads win where Python waits, and not where it computes: {fetches}, {runs}."
        return FOR_NEITHER, f"Threads win neither where Python waits nor where it computes: {fetches}, {runs}."
    why = "" if gil else ", for this Python has no GIL"
    if wins:
        return FOR_BOTH, f"Threads win where Python waits and where it computes{why}: {fetches}, {runs}."
    return FOR_COMPUTING, f"Threads win where Python computes{why}, and not where it waits: {fetches}, {runs}."


def _wins(result: CellResult) -> bool | None:
    """Whether a cell beats the serial one by more than nothing; None if it cannot be told."""
    if result.speedup is None or result.clean < LEAST_SAMPLES:
        return None
    if result.speedup.low > 1 + GAIN_OF_NONE:
        return True
    return False if result.speedup.high <= 1 + GAIN_OF_NONE else None


def _on_the_reason(found: _Found, gil: bool) -> list[str]:
    fetches, counts = found.serial(FETCH), found.serial(CONTROL)
    if fetches is None or counts is None or not fetches.rate:
        return []
    waits, idles = waiting(fetches), waiting(counts)
    if waits is None or idles is None:
        return []
    page = f"of the {_milliseconds(1 / fetches.rate)} that a page takes one worker, it waits {100 * waits:.0f} %"
    loop = f"the loop of tally waits {100 * idles:.0f} %"
    if gil:
        why = f"Why they differ: a thread that waits for the network has released the GIL, and {page}"
        return [f"{why}; {loop} and holds the GIL, so that its threads take turns."]
    return [f"Why workers need not have cores to fetch: {page}; {loop}, and takes a core for each."]


def _on_processes(claims: Sequence[Claim]) -> list[str]:
    """The other half of the control: what separate GILs buy."""
    return [
        f"{claim.workers} processes, with a GIL each, run the loop of tally {claim.speedup} as fast as one."
        for claim in claims
        if (claim.workload, claim.execution) == (CONTROL, "processes") and claim.answer != UNDECIDED
    ]


def _on_the_first(found: _Found) -> tuple[list[str], list[Comparison]]:
    """Which execution fetched most, if its interval against the next is all above one."""
    bests = [best for name in ("threads", "processes", "asyncio") if (best := found.best(name)) is not None]
    if len(bests) < 2:
        return [], []
    bests.sort(key=lambda one: -(one.rate or 0.0))
    pages = "; ".join(f"{_workers(one)} {_rounded(one.rate or 0.0)} ({one.speedup})" for one in bests)
    sentence = f"Pages a second, at the best: {pages}."
    compared = found.compare(*bests[:2])
    if compared is None:
        return [sentence], []
    first, second = (_workers(one) for one in bests[:2])
    if compared.speedup.low > 1:
        return [f"{sentence} {upper(first)} are first, {compared.speedup} as fast as {second}."], [compared]
    return [f"{sentence} Whether {first} are faster than {second} is undecided: {compared.speedup}."], [compared]


def _on_the_limit(found: _Found, gil: bool) -> list[str]:
    """How many pages a second there is CPU time for, on one core, and how many workers ask for that many."""
    texts = []
    serial = found.serial(FETCH)
    for name, who in (("threads", "a thread"), ("asyncio", "a task")):
        best = found.best(name)
        if best is None or not (price := cost(best)):
            continue
        text = f"with {_workers(best)} a page costs {who} {_milliseconds(price)} of CPU time"
        text += f": one core carries at most about {_rounded(1 / price)} pages a second"
        if gil and name == "threads":
            text += " (one GIL somewhat more, for the system sends and receives without it)"
        if serial is not None and serial.rate and (share := waiting(serial)) is not None:
            idle = share / serial.rate
            text += f", as many as {math.ceil((idle + price) / price)} {name.replace('asyncio', 'tasks')} ask for"
        texts.append(text)
    return [f"{upper('; '.join(texts))}."] if texts else []


def _on_steps(found: _Found) -> tuple[list[str], list[Comparison]]:
    """From how many threads on more buy nothing."""
    steps: list[Comparison] = []
    threads = found.fetching("threads")
    alone = found.serial(FETCH)
    if threads and alone is not None and threads[0].workers > 1:
        threads.insert(0, alone)
    for fewer, more in pairwise(threads):
        step = found.compare(more, fewer)
        if step is None:
            return [], steps
        steps.append(step)
        times = more.workers / fewer.workers
        if gain(step.speedup, times) == NOT_PARALLEL:
            return [f"Threads stop gaining from {fewer.workers} on: {more.workers} are {step.speedup} as fast."], steps
        if step.speedup.low <= 1 + GAIN_OF_NONE * (times - 1):
            whether = f"Whether {more.workers} threads gain on {fewer.workers} is undecided"
            return [f"{whether}: they are {step.speedup} as fast."], steps
    if not steps:
        return [], []
    last = steps[-1]
    text = f"Threads gained at every step, {last.speedup} from {last.against.partition('/')[2]} to {last.workers}"
    return [f"{text}: where they stop lies beyond."], steps


def _on_the_server(found: _Found) -> list[str]:
    """What the other end took of the same cores, and whether it was at its own end."""
    cells = [one for one in found.of.values() if one.server]
    if not cells:
        return []
    busiest = max(cells, key=_server_share)
    text = f"The server took {_milliseconds(server_cost(busiest) or 0.0)} of CPU time a page, of the same cores"
    if (share := _server_share(busiest)) >= BUSY:
        return [f"{text}, and computed {100 * share:.0f} % of the time with {_workers(busiest)}: it may limit these."]
    return [f"{text}; it computed {100 * share:.0f} % of the time at most, and was not what limits the others."]


def _server_share(result: CellResult) -> float:
    return float(np.median([cpu / seconds for cpu, seconds in zip(result.server, result.seconds, strict=True)]))


def _workers(result: CellResult) -> str:
    if result.execution == "asyncio":
        return f"{result.workers} asyncio tasks"
    return f"{result.workers} {result.execution}"


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.2g} ms" if seconds < 0.01 else f"{1000 * seconds:.1f} ms"


def _rounded(number: float) -> str:
    """Two digits of a number: no more is known.

    Examples
    --------
    >>> _rounded(2833), _rounded(91.2)
    ('2 800', '91')
    """
    return f"{float(f'{number:.2g}'):,.0f}".replace(",", " ")
