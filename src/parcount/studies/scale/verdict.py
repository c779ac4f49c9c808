"""The verdict on the user's function: the answer, its sentences, and the laws that the throughput follows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from parcount.report.units import format_bytes, format_seconds, plural
from parcount.studies.core.claims import UNDECIDED, Cause, Claim, on_doubts
from parcount.studies.core.findings import Findings, select
from parcount.studies.scale.causes import diagnose
from parcount.studies.scale.models import Fit, NoFit, fit
from parcount.studies.scale.runs import WORKERS, Runs, all_runs, claims_on, is_waiting
from parcount.studies.scale.runtime import PRIVATE, SHARED, TARGET

GROWS = float(16 << 20)
"""Bytes by which a process grows while it is measured, from which that is told."""


def claims(found: Findings) -> list[Claim]:
    """Return the claims on each Python, as `Experiment.claims`."""
    return [claim for runs in all_runs(found) for claim in claims_on(runs, found)]


def conclude(found: Findings, claims: Sequence[Claim]) -> tuple[str, list[str]]:
    """Return the answer and the sentences, as `Experiment.conclude`."""
    causes = diagnose(found, claims)
    if not causes:
        return UNDECIDED, ["Undecided: no serial run was measured."]
    several = len({cause.variant for cause in causes}) > 1
    first, *others = (runs.alone for runs in all_runs(found))
    for other in others:
        found.compare(first, other, decides=False)  # what one worker costs there
    sentences = []
    for cause in causes:
        text = f"{cause.sentence} {cause.advice}".strip()
        sentences.append(text.replace(":", f" in {cause.variant}:", 1) if several else text)
    return causes[0].cause, [*sentences, *_on_numbers(found), *_on_doubts(causes, claims)]


def fit_laws(found: Findings) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the laws fitted to the throughput of each execution, as plain values, and what they say.

    Computing workers for which there is no core follow no law of scalability, so they are left out.
    """
    laws: list[dict[str, Any]] = []
    sentences = []
    for runs in all_runs(found):
        most = math.inf if is_waiting(runs) else found.available
        for execution in WORKERS:
            cells = [
                one
                for one in select(found.results, TARGET, execution, runs.variant)
                if one.workers <= most and one.work == runs.alone.work
            ]
            if not cells:
                continue
            rounds = [one for one in found.rounds if all(cell.cell in one for cell in cells)]
            samples = [[(cell.work or 1) / one[cell.cell].seconds for one in rounds] for cell in cells]
            try:
                fitted = fit([cell.workers for cell in cells], samples)
            except ImportError as error:
                fitted = NoFit(f"{error.name} is not installed: pip install 'parcount[study]'")
            laws.append({"variant": runs.variant, "execution": execution, **asdict(fitted)})
            if isinstance(fitted, Fit):
                first, *others = fitted.sentences()
                sentences += [f"{execution.capitalize()} of {runs.variant}: {first[0].lower()}{first[1:]}", *others]
    return laws, sentences


def _on_doubts(causes: Sequence[Cause], claims: Sequence[Claim]) -> list[str]:
    """What is undecided of Pythons whose cause is."""
    doubtful = tuple(f" on {cause.variant}" for cause in causes if cause.cause == UNDECIDED)
    open_claims = [claim for claim in claims if claim.holds is None and claim.statement.endswith(doubtful)]
    sentences = on_doubts([claim for claim in open_claims if claim.estimate is not None])
    if len(sentences) < len(open_claims):
        sentences.append("There were too few rounds for some intervals.")
    return sentences


def _on_objects(runs: Runs, found: Findings) -> list[str]:
    """Which object, shared by all threads or private to each, changes the most."""
    swept = [
        one
        for one in select(found.results, execution="threads", variant=runs.variant)
        if one.workload.startswith((SHARED, PRIVATE))
    ]
    if runs.threads is None or not swept:
        return []
    sentences = []
    for one in swept:
        ratio = found.compare(one, runs.threads.cell, decides=False)
        if ratio is not None and not ratio.speedup.low <= 1 <= ratio.speedup.high:
            kind, _, name = one.workload.partition(": ")
            how = f"shares {name}" if SHARED.startswith(kind) else f"has its own {name}"
            text = f"If each of {one.workers} threads {how}, they make {ratio.speedup} as many calls."
            sentences.append((abs(ratio.speedup.median - 1), text))
    if not sentences:
        return ["No single object, shared or private, makes a difference that the intervals show."]
    return [text for _, text in sorted(sentences, reverse=True)]


def _on_memory_growth(runs: Runs) -> list[str]:
    """Whether calls keep memory."""
    memory = runs.alone.evidence.get("memory", [])
    if not memory or memory[-1] - memory[0] < GROWS:
        return []
    grown = f"from {format_bytes(memory[0])} to {format_bytes(memory[-1])}"
    return [f"The process of {runs.variant} grew {grown} while it was measured: the calls keep memory."]


def _on_numbers(found: Findings) -> list[str]:
    """What is worth knowing beside the causes: the objects that threads share, and start-up."""
    sentences = []
    for runs in all_runs(found):
        sentences += [*_on_objects(runs, found), *_on_memory_growth(runs)]
        if runs.processes is not None and runs.processes.cell.startup is not None:
            cell = runs.processes.cell
            even = "" if cell.break_even is None else f", which pays from {plural(cell.break_even, 'call')} on"
            startup = format_seconds(cell.startup or 0.0)
            sentences.append(f"{cell.workers} processes of {runs.variant} need {startup} to start{even}.")
    return sentences
