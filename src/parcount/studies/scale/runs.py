"""The cells that the verdict on the user's function compares, and the claims on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from parcount.report.units import plural
from parcount.studies.core.analysis import CellResult
from parcount.studies.core.claims import Claim, make_claim
from parcount.studies.core.findings import Findings, select, serial
from parcount.studies.scale.accounting import Quartet, median_evidence, possible_speedups
from parcount.studies.scale.runtime import HELD, RELEASED, TARGET

ERROR = 0.02
"""Probability that the interval of a claim ever misses the true median: larger than that of other studies, because the
answer is to be there in seconds, and what has a cause is far from the bounds."""

GAIN = 1.3
"""Speedup of the control from which the machine runs several workers at the same time."""

FULLY = 0.85
"""The speedup, relative to what is possible, from which the target scales."""

WAITING = 0.3
"""Share of a call's time without CPU time from which it waits, and more workers than cores can gain."""

WORKERS = {"threads": "threads", "processes": "processes", "interpreters": "interpreters", "asyncio": "asyncio tasks"}


@dataclass(frozen=True)
class Runs:
    """The cells of one Python that the verdict compares, each with the most workers for which there are cores."""

    variant: str
    alone: CellResult
    threads: Quartet | None
    beyond: Quartet | None
    """Threads, the most of all; None if there are no more than cores."""
    processes: Quartet | None
    interpreters: Quartet | None
    control: CellResult | None
    held: CellResult | None


def all_runs(found: Findings) -> list[Runs]:
    """The cells of each Python whose serial cell was measured."""
    every = []
    for variant in dict.fromkeys(result.variant for result in found.results):
        alone = serial(found.results, TARGET, variant)
        if alone is not None:
            widest = {name: _quartet(found, alone, name) for name in ("threads", "processes", "interpreters")}
            every.append(
                Runs(
                    variant,
                    alone,
                    **widest,
                    beyond=_beyond(found, alone),
                    control=_measured(found.widest(RELEASED, variant, "threads")),
                    held=_measured(found.widest(HELD, variant, "threads")),
                )
            )
    return every


def _measured(cell: CellResult | None) -> CellResult | None:
    return cell if cell is not None and cell.rate else None


def _quartet(found: Findings, alone: CellResult, execution: str) -> Quartet | None:
    many = _measured(found.widest(TARGET, alone.variant, execution))
    return None if many is None else _with_control(found, alone, many)


def _beyond(found: Findings, alone: CellResult) -> Quartet | None:
    more = [one for one in select(found.results, TARGET, "threads", alone.variant) if one.workers > found.available]
    return _with_control(found, alone, more[-1]) if more else None


def _with_control(found: Findings, alone: CellResult, many: CellResult) -> Quartet:
    """The cells beside the control: under threads, or under processes where the cell shares nothing either."""
    execution = "threads" if many.execution == "threads" else "processes"
    controls = [one for one in select(found.results, RELEASED, execution, alone.variant) if one.workers <= many.workers]
    controls = controls or select(found.results, RELEASED, "threads", alone.variant)
    control = max((one for one in controls if one.workers > 1), key=lambda one: one.workers, default=None)
    return Quartet(many, alone, control, serial(found.results, RELEASED, alone.variant))


def is_waiting(runs: Runs) -> bool:
    """Whether a serial call spends much of its time without CPU time."""
    cpu = median_evidence(runs.alone, "cpu")
    ready = median_evidence(runs.alone, "ready") or 0.0
    return cpu is not None and bool(runs.alone.rate) and (cpu + ready) * (runs.alone.rate or 0.0) < 1 - WAITING


def claims_on(runs: Runs, found: Findings) -> list[Claim]:
    """The claims on one Python: what the machine gives, and what the target makes of it."""
    made = []
    waits = is_waiting(runs)
    if runs.control is not None:
        speedups = [speedup for (speedup,) in found.speedups(runs.control)]
        gives = make_claim(
            _named(runs, f"{plural(runs.control.workers, 'thread')} of the control are faster than one"),
            [runs.control],
            "speedup",
            GAIN,
            speedups,
            error=ERROR,
        )
        made.append(gives)
        if gives.holds is False and not waits:
            return made  # nothing else can be known
    quartets = [runs.threads, runs.processes, runs.interpreters]
    if waits:
        quartets.append(runs.beyond)
    made += [
        make_claim(
            statement_on(runs, quartet),
            [one for one in (quartet.cell, quartet.serial, quartet.control, quartet.control_serial) if one],
            "ratio",
            FULLY,
            [speedup / possible for speedup, possible in possible_speedups(found, quartet)],
            error=ERROR,
        )
        for quartet in quartets
        if quartet is not None
    ]
    return made


def statement_on(runs: Runs, quartet: Quartet) -> str:
    """Return the statement of the claim that the workers of a quartet gain what they can."""
    many = quartet.cell
    return _named(runs, f"{many.workers} {WORKERS[many.execution]} gain what they can")


def _named(runs: Runs, text: str) -> str:
    return f"{text} on {runs.variant}"


def claim_holds(claims: Sequence[Claim], runs: Runs, quartet: Quartet | None) -> bool | None:
    """Whether the workers of a quartet gain what they can; None if that is undecided or was not measured."""
    if quartet is None:
        return None
    return next((claim.holds for claim in claims if claim.statement == statement_on(runs, quartet)), None)
