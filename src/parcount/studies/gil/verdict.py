"""The verdict on the GIL: whether releasing it makes threads parallel."""

from __future__ import annotations

from collections.abc import Sequence

from parcount.report.units import in_words
from parcount.studies.core.claims import (
    ABSENT,
    NOT_ASKED,
    NOT_PARALLEL,
    PARALLEL,
    PARTLY,
    UNDECIDED,
    Claim,
    Rule,
    decide,
    on_doubts,
)
from parcount.studies.core.findings import Findings, serial

LIMITED = {PARTLY, NOT_PARALLEL}

TEXTS = {
    "released": "the cython loop of {one.workload}, on {one.workers} threads, runs {one.speedup} as fast",
    "held": "the same loop holding the GIL, {one.speedup}",
}

RULES = (
    Rule(NOT_ASKED, "There was nothing to count.", {"counted": {False}}),
    Rule(
        NOT_ASKED,
        "One core is available here. Nothing can run in parallel, and nothing is claimed about it.",
        {"released": {ABSENT}, "available": {1}},
    ),
    Rule(
        NOT_ASKED,
        "Whether releasing the GIL makes threads parallel was not asked. That takes the cython variant with threads, "
        "and 2 to {available} workers.",
        {"released": {ABSENT}},
    ),
    Rule(UNDECIDED, "Undecided whether releasing the GIL makes threads parallel here{details}.", {"doubt": {True}}),
    Rule(
        UNDECIDED,
        "Undecided: something other than the GIL limits the loop here, because processes, each with its own GIL, do no "
        "better: {numbers}; on {separate}.",
        {"released": LIMITED, "processes": {*LIMITED, UNDECIDED}},
    ),
    Rule(
        "no GIL",
        "This Python has no GIL, and threads do run in parallel{details}.",
        {"gil": {False}, "released": {PARALLEL}},
    ),
    Rule("no GIL", "This Python has no GIL, and threads do not run in parallel{details}.", {"gil": {False}}),
    Rule(
        "yes",
        "Yes: releasing the GIL makes threads truly parallel here. {Numbers}.",
        {"released": {PARALLEL}, "held": {NOT_PARALLEL, ABSENT}},
    ),
    Rule(
        "no", "Threads are parallel here whether or not the loop releases the GIL{details}.", {"released": {PARALLEL}}
    ),
    Rule(
        "partly",
        "Partly: releasing the GIL lets threads share the work, but not all of it. {Numbers}.",
        {"released": {PARTLY}},
    ),
    Rule("no", "No: releasing the GIL does not make threads truly parallel here. {Numbers}."),
)
"""The answers by the loop that releases the GIL, the one that holds it, and separate processes."""


def conclude(found: Findings) -> tuple[str, list[str]]:
    """Return the answer and the sentences, as `Experiment.conclude`."""
    workloads = list(dict.fromkeys(result.workload for result in found.results))
    for result in found.results:
        against = {("cython", "serial"): "python", ("numba-parallel", "threads"): "numba"}
        if (name := against.get((result.variant, result.execution))) and result.rate:
            other = serial(found.results, result.workload, name)
            if other is not None:
                found.compare(result, other)

    main = next((name for name in workloads if found.claim(name, "cython", "threads")), None)
    separate = found.claim(main, "cython", "processes")
    claims = {"released": found.claim(main, "cython", "threads"), "held": found.claim(main, "cython-gil", "threads")}
    answer, sentence = decide(
        RULES,
        claims,
        TEXTS,
        {
            "doubt": any(claim is not None and claim.answer == UNDECIDED for claim in claims.values()),
            "counted": any(result.work for result in found.results if result.seconds),
            "processes": separate.answer if separate else ABSENT,
            "available": found.available,
            "gil": found.gil,
        },
        available=str(found.available),
        separate=f"{separate.workers} processes, {separate.speedup}" if separate else "",
    )
    return answer, [
        sentence,
        *(sentence for name in workloads for sentence in _on_workload(name, found)),
        *on_doubts(found.claims),
    ]


def _on_workload(name: str, found: Findings) -> list[str]:
    """A sentence for each execution with workers, and one for compiled loops: what was decided."""
    sentences = []
    decided: Sequence[Claim] = [one for one in found.claims if one.workload == name and one.answer != UNDECIDED]
    for execution in ("threads", "processes", "interpreters"):
        if there := [claim for claim in decided if claim.execution == execution]:
            speeds = ", ".join(f"{claim.variant} {claim.speedup.median:.2f}×" for claim in there if claim.speedup)
            sentences.append(f"{name}, {there[0].workers} {execution} against serial: {speeds}.")
    even = {result.cell.key: result.break_even for result in found.results}
    pays = [
        f"{claim.variant} {in_words(start)}"
        for claim in decided
        if claim.execution == "processes"
        and (start := even[name, claim.variant, claim.execution, claim.workers]) is not None
    ]
    if pays:
        sentences.append(
            f"{name}: starting processes for one job pays from this number of increments on: {', '.join(pays)}."
        )
    sentences += [
        f"{name}: compiled by Cython, the loop is {one.speedup.median:.0f} times as fast as in Python."
        for one in found.comparisons.values()
        if (one.workload, one.variant, one.against) == (name, "cython", "python")
    ]
    return sentences
