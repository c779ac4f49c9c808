"""The verdict on the GIL: whether releasing it makes threads parallel.

The loop that releases the GIL is compared, in each round, with the same loop that holds it and with processes that run
it. Processes share nothing, so their speedup is what the machine can give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from parcount.studies.core.analysis import CellResult
from parcount.studies.core.claims import NOT_ASKED, SHARE, UNDECIDED, Claim, make_claim, on_doubts, parallel_share
from parcount.studies.core.findings import Findings, serial

WORTH = 1.1
"""Speedup from which more workers are worth it."""

PARALLEL = 0.8
"""Share of the work that must be parallel for threads to be as parallel as processes."""

OTHERS = "other programs, or the host of this virtual machine, use the cores"

GIVES = "the machine gives more to several processes"
PAYS = "releasing the GIL pays"
FULLY = "threads are as parallel as processes"
HOLDING = "threads that hold the GIL are parallel"


class Loops(NamedTuple):
    """The cells of one workload that the verdict compares, each with the most workers that have cores."""

    released: CellResult
    held: CellResult | None
    separate: CellResult | None


def claims(found: Findings) -> list[Claim]:
    """Return the claims on each workload, as `Experiment.claims`."""
    return [claim for loops in _all_loops(found) for claim in _claims_on(loops, found)]


def conclude(found: Findings, claims: Sequence[Claim]) -> tuple[str, list[str]]:
    """Return the answer and the sentences, as `Experiment.conclude`."""
    every = _all_loops(found)
    answers = [_answer(loops, _about(loops, claims), found) for loops in every] or [(NOT_ASKED, _why_not_asked(found))]
    sentences = [sentence for _, sentence in answers]
    if len(every) > 1:
        sentences = [f"{loops.released.workload}: {text}" for loops, text in zip(every, sentences, strict=True)]
    return answers[0][0], [*sentences, *on_doubts(claims), *_on_compiling(found)]


def _all_loops(found: Findings) -> list[Loops]:
    return [
        Loops(
            released,
            found.widest(workload, "cython-gil", "threads"),
            found.widest(workload, "cython", "processes"),
        )
        for workload in dict.fromkeys(result.workload for result in found.results)
        if (released := found.widest(workload, "cython", "threads")) is not None and released.work != 0
    ]


def _claims_on(loops: Loops, found: Findings) -> list[Claim]:
    """The claims on one workload."""
    released, held, separate = loops
    made = []
    if separate is None:
        cells = [released]
        shares = [parallel_share(speedup, released.workers) for (speedup,) in found.speedups(released)]
    else:
        cells = [released, separate]
        shares = [parallel_share(speedup, possible) for speedup, possible in found.speedups(*cells)]
        gives = make_claim(GIVES, [separate], "speedup", WORTH, _alone(found, separate))
        if gives.holds is False:
            return [gives]  # nothing else can be known
        made.append(gives)
    least, most = [low for low, _ in shares], [high for _, high in shares]
    made.append(make_claim(FULLY, cells, SHARE, PARALLEL, least, most))
    if held is None:
        made.append(make_claim(PAYS, [released], "speedup", WORTH, _alone(found, released)))
    else:
        ratios = [over / under for over, under in found.speedups(released, held)]
        made.append(make_claim(PAYS, [released, held], "ratio", WORTH, ratios))
        made.append(make_claim(HOLDING, [held], "speedup", WORTH, _alone(found, held)))
    return made


def _alone(found: Findings, cell: CellResult) -> list[float]:
    return [speedup for (speedup,) in found.speedups(cell)]


def _about(loops: Loops, claims: Sequence[Claim]) -> dict[str, Claim]:
    """Those claims that are about one workload, by their statements."""
    return {claim.statement: claim for claim in claims if claim.cells[0].startswith(f"{loops.released.workload}/")}


def _answer(loops: Loops, claims: Mapping[str, Claim], found: Findings) -> tuple[str, str]:
    """The answer on one workload, and its sentence."""
    numbers = _numbers(loops, found)
    # What was not measured is supposed: cores that are free, and a GIL that works.
    gives = claims[GIVES].holds if GIVES in claims else True
    holding = claims[HOLDING].holds if HOLDING in claims else False
    if gives is False:
        waited = any(cell is not None and cell.disturbed for cell in loops)
        why = found.reason or ("see below" if found.load else OTHERS if waited else "the reason is not known")
        return UNDECIDED, f"Undecided: this machine gives several workers no more than one ({why}). {numbers}."
    pays, fully = claims[PAYS].holds, claims[FULLY].holds
    if fully is not True and any(cell is not None and cell.disturbed for cell in (loops.released, loops.held)):
        return UNDECIDED, f"Undecided: {OTHERS}. {numbers}."
    if not found.gil and fully is not None:
        return (
            "no GIL",
            f"This Python has no GIL, and threads {'do' if fully else 'do not'} run in parallel. {numbers}.",
        )
    if (pays, fully, holding) == (True, True, False):
        return "yes", f"Yes. {numbers}."
    if (pays, fully, holding) == (True, False, False):
        share = claims[FULLY].estimate
        assert share is not None
        return "partly", f"Partly. {numbers}; as if {share.percent} of its work were parallel."
    if (gives, pays, holding) == (True, False, False):
        return "no", f"No. {numbers}."
    if (pays, holding) == (False, True):
        return "no", f"No: threads are parallel here whether or not the loop releases the GIL. {numbers}."
    return UNDECIDED, f"Undecided whether releasing the GIL makes threads parallel here. {numbers}."


def _numbers(loops: Loops, found: Findings) -> str:
    """What was measured, in words."""
    released, held, separate = loops
    if released.speedup is None:
        return f"There are no speeds of the loop that releases the GIL: {released.reason or 'it ran in no round'}"
    text = f"On {released.workers} threads, the loop that releases the GIL runs {released.speedup} as fast as on one"
    if separate is not None and separate.speedup is not None:
        ratio = found.compare(released, separate)
        reached = f"what {separate.workers} processes reach ({separate.speedup.median:.2f}×)"
        text += f", {ratio.speedup.percent} of {reached}" if ratio else f"; compare {reached}"
    if held is not None and held.speedup is not None:
        text += f"; the same loop holding the GIL, {held.speedup.median:.2f}×"
    return text


def _why_not_asked(found: Findings) -> str:
    if not any(result.work for result in found.results if result.seconds):
        return "There was nothing to count."
    if found.available == 1:
        why = f" ({found.reason})" if found.reason else ""
        return f"One core is available here{why}. Nothing can run in parallel, and nothing is claimed about it."
    return (
        "Whether releasing the GIL makes threads parallel was not asked. That takes the cython variant with threads, "
        f"and 2 to {found.available} workers."
    )


def _on_compiling(found: Findings) -> list[str]:
    """How many times as fast compiled loops are, each alone."""
    sentences = []
    for result in found.results:
        against = {("cython", "serial"): "python", ("numba-parallel", "threads"): "numba"}
        if (name := against.get((result.variant, result.execution))) and result.rate:
            other = serial(found.results, result.workload, name)
            compared = found.compare(result, other, decides=False) if other is not None else None
            if compared is not None and name == "python":
                times = f"{compared.speedup.median:.0f} times as fast as in Python"
                sentences.append(f"{result.workload}: compiled by Cython, the loop is {times}.")
    return sentences
