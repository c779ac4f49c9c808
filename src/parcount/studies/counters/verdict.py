"""The verdict on counting methods: what they cost and lose, on which Python."""

from __future__ import annotations

import platform
import sysconfig
from collections.abc import Sequence

from parcount.studies.core.analysis import MEASURED, CellResult
from parcount.studies.core.cells import Round
from parcount.studies.core.claims import Verdict, claim_cells, classify, in_words
from parcount.studies.counters.methods import LOCK, METHODS, VALUE

LOST, NONE_LOST = "lost", "none lost"


def conclude(results: Sequence[CellResult], rounds: Sequence[Round], *, available: int, gil: bool) -> Verdict:
    """Return the verdict, as `Experiment.conclude`."""
    claims = [classify(result) for result in claim_cells(results, available)]
    python = _python(gil)
    measured = [result for result in results if result.seconds]
    tried = [result for result in measured if result.execution != "serial" and result.work]
    sentences = []
    answer = "not asked"
    if not tried:
        sentences.append("No method was tried with several workers. Nothing is claimed.")
    else:
        if lossy := [result for result in tried if METHODS[result.variant].may_lose]:
            answer = LOST if any(map(total_lost, lossy)) else NONE_LOST
            sentences += [_on_losses(result, python) for result in lossy]
        sentences += _on_costs([result for result in tried if not METHODS[result.variant].may_lose], measured)
    exact = [result for result in measured if not METHODS[result.variant].may_lose]
    if exact:
        total = sum((result.work or 0) * len(result.seconds) for result in exact)
        methods = len({result.variant for result in exact})
        sentences.append(
            f"{methods} exact method{'s' if methods > 1 else ''} lost none of {in_words(total)} "
            f"increments in {len(rounds)} rounds."
        )
    sentences += [
        f"{result.variant} ({result.execution}): {result.status}: {result.reason}."
        for result in results
        if result.status != MEASURED
    ]
    return Verdict(answer, sentences, claims, [])


def total_lost(result: CellResult) -> int:
    """Increments that a cell lost, in all its rounds."""
    return sum(result.lost)


def cost(result: CellResult) -> float | None:
    """Nanoseconds an increment, by the wall's clock; None if there is nothing to tell."""
    return None if result.rate is None else 1e9 / result.rate


def _python(gil: bool) -> str:
    build = "free-threaded " if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    name = f"{build}{platform.python_implementation()} {platform.python_version()}"
    return f"{name} {'with the' if gil else 'without a'} GIL"


def _on_losses(result: CellResult, python: str) -> str:
    where = f"{result.workers} {result.execution}"
    tries = (result.work or 0) * len(result.seconds)
    lost = total_lost(result)
    if lost:
        share = f"{100 * lost / tries:.0f} %" if 100 * lost >= tries else "less than 1 %"
        return (
            f"{result.variant}, on {where}, lost {in_words(lost)} of {in_words(tries)} increments ({share}): {python}."
        )
    return (
        f"{result.variant}, on {where}: none lost in {in_words(tries)} tries. That was observed on {python} and is no "
        "guarantee."
    )


def _on_costs(tried: Sequence[CellResult], measured: Sequence[CellResult]) -> list[str]:
    """For threads and for processes: the cheapest of the exact ways, against the one that everybody knows."""
    sentences = []
    alone = {result.variant: cost(result) for result in measured if result.execution == "serial"}
    for execution, known in (("threads", LOCK), ("processes", VALUE)):
        there = [result for result in tried if result.execution == execution and cost(result)]
        if not there:
            continue
        most = max(result.workers for result in there)
        there = [result for result in there if result.workers == most]
        best = min(there, key=lambda result: cost(result) or 0.0)
        texts = [_priced(best, alone)]
        texts += [_priced(result, alone) for result in there if result.variant == known and result is not best]
        sentences.append(f"Exact and cheapest on {most} {execution}: {'; '.join(texts)}.")
    return sentences


def _priced(result: CellResult, alone: dict[str, float | None]) -> str:
    by_itself = alone.get(result.variant)
    before = f" ({by_itself:.0f} ns by itself)" if by_itself else ""
    return f"{result.variant}, {cost(result) or 0:.0f} ns an increment{before}"
