"""The verdict on counting methods: what they cost and lose, on which Python."""

from __future__ import annotations

import platform
import sysconfig
from collections.abc import Sequence

from parcount.report.units import in_words, plural
from parcount.studies.core.analysis import CellResult
from parcount.studies.core.claims import NOT_ASKED, Claim, left_out
from parcount.studies.core.findings import Findings
from parcount.studies.counters.methods import LOCK, METHODS, PROCESSES, THREADS, VALUE

LOST, NONE_LOST = "lost", "none lost"

CHEAPER = 1.05
"""How many times as many increments a second a method makes that is called cheaper."""


def claims(found: Findings) -> list[Claim]:
    """Return, for threads and for processes, the claim that the cheapest exact method is cheaper than the next."""
    return [
        found.faster(f"{one.variant} is cheaper than {other.variant} on {_workers(one)}", one, other, CHEAPER)
        for one, other, *_ in (several for several in _ranked(found) if len(several) > 1)
    ]


def conclude(found: Findings, claims: Sequence[Claim]) -> tuple[str, list[str]]:  # noqa: ARG001 - of costs
    """Return the answer and the sentences, as `Experiment.conclude`."""
    measured = [result for result in found.results if result.seconds]
    tried = [result for result in measured if result.execution != "serial" and result.work]
    exact = [result for result in measured if not METHODS[result.variant].may_lose]
    lossy = [result for result in tried if result not in exact]
    answer = NOT_ASKED if not lossy else LOST if any(map(total_lost, lossy)) else NONE_LOST
    sentences = [_on_losses(result, _python(found.gil)) for result in lossy]
    sentences += _on_costs(found)
    if not tried:
        sentences.append("No method was tried with several workers. Nothing is claimed.")
    if exact:
        methods = plural(len({result.variant for result in exact}), "exact method")
        total = in_words(sum(map(increments, exact)))
        sentences.append(f"{methods} lost none of {total} increments in {plural(len(found.rounds), 'round')}.")
    return answer, sentences + left_out(found.results, lambda one: f"{one.variant} ({one.execution})")


def increments(result: CellResult) -> int:
    """Return the increments that a cell made in all rounds."""
    return (result.work or 0) * len(result.seconds)


def total_lost(result: CellResult) -> int:
    """Return the increments that a cell lost in all rounds."""
    return sum(result.lost)


def lost_share(result: CellResult) -> float:
    """Return the lost increments in percent."""
    return 100 * total_lost(result) / increments(result)


def cost(result: CellResult) -> float | None:
    """Return the wall-clock nanoseconds of an increment; None if there were none."""
    return None if result.rate is None else 1e9 / result.rate


def _python(gil: bool) -> str:
    build = "free-threaded " if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    name = f"{build}{platform.python_implementation()} {platform.python_version()}"
    return f"{name} {'with the' if gil else 'without a'} GIL"


def _on_losses(result: CellResult, python: str) -> str:
    where = f"{result.variant}, on {result.workers} {result.execution}"
    tries = in_words(increments(result))
    if not total_lost(result):
        return f"{where}: none lost in {tries} tries. That was observed on {python} and is no guarantee."
    share = f"{lost_share(result):.0f} %" if lost_share(result) >= 1 else "less than 1 %"
    return f"{where}, lost {in_words(total_lost(result))} of {tries} increments ({share}): {python}."


def _ranked(found: Findings) -> list[list[CellResult]]:
    """For threads and for processes, the exact methods with the most workers, from the cheapest to the dearest."""
    ranked = []
    for execution in (THREADS, PROCESSES):
        there = [
            result
            for result in found.results
            if result.execution == execution and result.rate and not METHODS[result.variant].may_lose
        ]
        most = max((result.workers for result in there), default=0)
        ranked.append(sorted((one for one in there if one.workers == most), key=lambda one: cost(one) or 0.0))
    return [several for several in ranked if several]


def _on_costs(found: Findings) -> list[str]:
    """For threads and for processes, the cheapest exact methods and the best-known one."""
    sentences = []
    alone = {result.variant: cost(result) for result in found.results if result.execution == "serial"}
    for best, *others in _ranked(found):
        alike = [one for one in others if _is_cheaper(found, best, one) is not True]
        known = [one for one in others if one.variant in (LOCK, VALUE) and one not in alike]
        among = "Exact and cheapest" if not alike else "Exact and cheapest, not told apart,"
        prices = "; ".join(_priced(one, alone) for one in (best, *alike, *known))
        sentences.append(f"{among} on {_workers(best)}: {prices}.")
    return sentences


def _is_cheaper(found: Findings, best: CellResult, other: CellResult) -> bool | None:
    compared = found.compare(best, other)
    return None if compared is None else compared.speedup.exceeds(CHEAPER)


def _workers(result: CellResult) -> str:
    return f"{result.workers} {result.execution}"


def _priced(result: CellResult, alone: dict[str, float | None]) -> str:
    by_itself = alone.get(result.variant)
    before = f" ({by_itself:.0f} ns by itself)" if by_itself else ""
    return f"{result.variant}, {cost(result) or 0:.0f} ns an increment{before}"
