"""The verdict on the user's function: the causes why more workers do not do more, and what to do next."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from parcount.report.units import format_bytes, format_seconds, grouped, plural
from parcount.studies.core.analysis import CellResult
from parcount.studies.core.claims import (
    UNDECIDED,
    Cause,
    Claim,
    make_claim,
    on_doubts,
)
from parcount.studies.core.findings import Findings, select, serial
from parcount.studies.core.statistics import significant
from parcount.studies.scale.accounting import Account, Quartet, account, median_evidence, possible_speedups
from parcount.studies.scale.models import Fit, NoFit, fit
from parcount.studies.scale.runtime import HELD, MEMORY, PRIVATE, RELEASED, SHARED, TARGET

NEARLY = 0.7
"""The same, from which the target scales nearly: where one cannot tell whether it is above or below `FULLY`."""

ERROR = 0.02
"""Probability that the interval of a claim ever misses the true median: larger than that of other studies, because the
answer is to be there in seconds, and what has a cause is far from the bounds."""

GAIN = 1.3
"""Speedup of the control from which the machine runs several workers at the same time."""

FULLY = 0.85
"""The speedup, relative to what is possible, from which the target scales."""

NAMED = 0.3
"""Share of the lost time from which a cause is named beside a stronger one."""

WAITING = 0.3
"""Share of a call's time without CPU time from which it waits, and more workers than cores can gain."""

MORE = 1.5
"""Speedup of the most threads from which it is waiting that they make use of."""

TOO_SHORT = 0.5
"""Share of a call's time that the loop around it takes, from which nothing can be said of the call."""

FREE, TAKEN = 0.3, 0.7
"""Share of the time in which the GIL is held: up to the first it stops nobody, from the second on those that wait."""

BUSY = 0.4
"""Share of the lost time that workers were ready without a core from which other programs are to blame."""

WORTH = 1.1
"""Speedup from which more workers are worth it."""

SMALL = 4096.0
"""Bytes of arguments and result below which many calls travel in one message, so that sending costs little."""

GROWS = float(16 << 20)
"""Bytes by which a process grows while it is measured, from which that is told."""

SCALES, GIL, LOCK, SHARED_OBJECTS, MEMORY_BOUND = "scales", "gil", "lock", "shared-objects", "memory"
WAITS, STARTUP, SERIAL_PART, MACHINE = "waiting", "startup", "serial-part", "machine"

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


def claims(found: Findings) -> list[Claim]:
    """Return the claims on each Python, as `Experiment.claims`."""
    return [claim for runs in _all_runs(found) for claim in _claims_on(runs, found)]


def conclude(found: Findings, claims: Sequence[Claim]) -> tuple[str, list[str]]:
    """Return the answer and the sentences, as `Experiment.conclude`."""
    causes = diagnose(found, claims)
    if not causes:
        return UNDECIDED, ["Undecided: no serial run was measured."]
    several = len({cause.variant for cause in causes}) > 1
    first, *others = (runs.alone for runs in _all_runs(found))
    for other in others:
        found.compare(first, other, decides=False)  # what one worker costs there
    sentences = []
    for cause in causes:
        text = f"{cause.sentence} {cause.advice}".strip()
        sentences.append(text.replace(":", f" in {cause.variant}:", 1) if several else text)
    return causes[0].cause, [*sentences, *_on_numbers(found), *_on_doubts(causes, claims)]


def diagnose(found: Findings, claims: Sequence[Claim]) -> list[Cause]:
    """Return the causes in each Python, the strongest first."""
    return [cause for runs in _all_runs(found) for cause in _causes_in(runs, found, claims)]


def fit_laws(found: Findings) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the laws fitted to the throughput of each execution, as plain values, and what they say.

    Computing workers for which there is no core follow no law of scalability, so they are left out.
    """
    laws: list[dict[str, Any]] = []
    sentences = []
    for runs in _all_runs(found):
        most = math.inf if _waits(runs) else found.available
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


# The claims.


def _all_runs(found: Findings) -> list[Runs]:
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


def _claims_on(runs: Runs, found: Findings) -> list[Claim]:
    """The claims on one Python: what the machine gives, and what the target makes of it."""
    made = []
    waits = _waits(runs)
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
            _statement(runs, quartet),
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


def _statement(runs: Runs, quartet: Quartet) -> str:
    many = quartet.cell
    return _named(runs, f"{many.workers} {WORKERS[many.execution]} gain what they can")


def _named(runs: Runs, text: str) -> str:
    return f"{text} on {runs.variant}"


def _holds(claims: Sequence[Claim], runs: Runs, quartet: Quartet | None) -> bool | None:
    """Whether the workers of a quartet gain what they can; None if that is undecided or was not measured."""
    if quartet is None:
        return None
    return next((claim.holds for claim in claims if claim.statement == _statement(runs, quartet)), None)


def _nearly(claims: Sequence[Claim], runs: Runs, quartet: Quartet) -> bool:
    """Whether it is undecided only if the workers gain all or nearly all of what they can."""
    statement = _statement(runs, quartet)
    estimate = next((claim.estimate for claim in claims if claim.statement == statement), None)
    return estimate is not None and estimate.low >= NEARLY


def _waits(runs: Runs) -> bool:
    """Whether a serial call spends much of its time without CPU time."""
    cpu = median_evidence(runs.alone, "cpu")
    ready = median_evidence(runs.alone, "ready") or 0.0
    return cpu is not None and bool(runs.alone.rate) and (cpu + ready) * (runs.alone.rate or 0.0) < 1 - WAITING


# The causes.


def _causes_in(runs: Runs, found: Findings, claims: Sequence[Claim]) -> list[Cause]:
    """The causes in one Python, the strongest first; never empty."""
    if (overhead := median_evidence(runs.alone, "overhead") or 0.0) > TOO_SHORT:
        call, batch = 1 / (runs.alone.rate or 1.0), median_evidence(runs.alone, "batch") or 1.0
        return [
            _cause(
                runs,
                UNDECIDED,
                {"overhead": overhead, "call": call, "batch": batch},
                f"Too short to measure: a call takes {format_seconds(call)}, and {_percent(overhead)} of that is the "
                f"loop that calls it, {grouped(batch)} times between two looks at the clock.",
                "Measure a function that calls it many times.",
            )
        ]
    waits = _waits(runs)
    if found.available == 1 and not waits:
        return [
            _cause(runs, MACHINE, {"cores": 1.0}, f"The machine: one core is available here. {found.reason}".strip())
        ]
    if runs.threads is None and runs.beyond is None:
        return [_cause(runs, UNDECIDED, {}, "Undecided: several threads were not measured.")]
    if not waits and (machine := _on_the_machine(runs, claims)):
        return [machine]
    return _on_threads(runs, found, claims, waits=waits)


def _on_the_machine(runs: Runs, claims: Sequence[Claim]) -> Cause | None:
    """The cause if the control does not gain, or it is not known whether it does."""
    if runs.control is None:
        return _cause(runs, UNDECIDED, {}, "Undecided: the control, which shows what the machine gives, did not run.")
    gives = next((claim for claim in claims if claim.cells == [str(runs.control.cell)]), None)
    if gives is None or gives.holds is None:
        return _cause(
            runs,
            UNDECIDED,
            {},
            "Undecided: it is not known yet whether this machine runs several threads at the same time.",
            "Measure for longer, with --seconds, or on a quiet machine.",
        )
    if gives.holds is False and gives.estimate is not None:
        return _cause(
            runs,
            MACHINE,
            {"control_speedup": gives.estimate.median},
            f"The machine: {plural(runs.control.workers, 'thread')} of a loop that shares nothing and releases the GIL "
            f"are {gives.estimate} as fast as one.",
            "Other programs use the cores, or there are fewer of them than the system tells.",
        )
    return None


def _on_threads(runs: Runs, found: Findings, claims: Sequence[Claim], *, waits: bool) -> list[Cause]:
    """The causes where the machine gives several cores."""
    quartet = runs.beyond if waits and runs.beyond is not None else runs.threads or runs.beyond
    assert quartet is not None
    holds = _holds(claims, runs, quartet)
    spent = account(found, quartet)
    evidence = _numbers(runs, found, quartet, spent)
    waiting: list[Cause] = []
    if waits and (_median(quartet.cell) or 0.0) >= MORE:
        waiting.append(_on_waiting(runs, quartet, evidence))
    if holds is True or (holds is None and _nearly(claims, runs, quartet)):
        return waiting or [_on_scaling(runs, quartet, evidence, nearly=holds is None)]
    if holds is None or spent is None:
        return [
            *waiting,
            _cause(
                runs,
                UNDECIDED,
                evidence,
                f"Undecided: {quartet.cell.workers} threads are {_speedup(quartet.cell)} as fast as one, and that may "
                "or may not be what they can gain.",
                "Measure for longer, with --seconds, or on a quiet machine.",
            ),
        ]
    losses = [*_on_losses(runs, found, claims, quartet, spent, evidence), *_on_transport(runs, evidence)]
    return [*losses, *waiting] if spent.lost_share > 0.5 else [*waiting, *losses]


def _on_losses(
    runs: Runs, found: Findings, claims: Sequence[Claim], quartet: Quartet, spent: Account, evidence: dict[str, float]
) -> list[Cause]:
    """The causes of what threads lose, by their share of it."""
    apart = runs.processes or runs.interpreters
    apart_spent = None if apart is None else account(found, apart)
    apart_holds = _holds(claims, runs, apart)
    total = spent.computing + spent.ready + spent.blocked
    if total <= 0 or apart is None or apart_spent is None:
        why = "processes were not measured" if total > 0 else "the lost time has no part that was measured"
        if total > 0 and spent.gil_held is not None and spent.gil_held >= TAKEN and spent.blocked >= 0.5 * total:
            share = spent.blocked / total
            return [_on_the_gil(runs, quartet, spent, share, evidence)]
        return [_cause(runs, UNDECIDED, evidence, f"Undecided: threads lose {_lost(spent)}, and {why}.")]
    if spent.ready / total >= BUSY and _waited(runs.control) >= BUSY / 4:
        return [
            _cause(
                runs,
                UNDECIDED,
                evidence,
                f"Undecided: in {spent.ready / total:.0%} of the lost time the threads were ready to run and had no "
                "core.".replace("%", " %"),
                "Other programs use the cores. Measure again on a quiet machine.",
            )
        ]
    for_gil = 0.0
    if spent.gil_held is not None:
        for_gil = min(1.0, max(0.0, (spent.gil_held - FREE) / (TAKEN - FREE)))
    # What processes lose too is not lost to this process's own locks and objects, nor to its GIL.
    near = (account(found, runs.threads) if runs.threads is not None else None) or spent  # as many workers as apart
    blocked_apart = (
        _ratio(apart_spent.blocked + apart_spent.ready, near.blocked + near.ready) if apart_holds is False else 0.0
    )
    computing_apart = _ratio(apart_spent.computing, near.computing) if apart_holds is not True else 0.0
    # A worker that another one wakes on its own core is ready without a core, and waits for it no less.
    blocked, computing = (spent.blocked + spent.ready) / total, spent.computing / total
    shares = {
        SERIAL_PART: blocked * blocked_apart,
        GIL: blocked * (1 - blocked_apart) * for_gil,
        LOCK: blocked * (1 - blocked_apart) * (1 - for_gil),
        MEMORY_BOUND: computing * computing_apart,
        SHARED_OBJECTS: computing * (1 - computing_apart),
    }
    sentences = {
        GIL: _on_the_gil,
        LOCK: _on_a_lock,
        SERIAL_PART: _on_a_serial_part,
        MEMORY_BOUND: _on_memory,
        SHARED_OBJECTS: _on_shared_objects,
    }
    ordered = sorted(shares, key=lambda name: -shares[name])
    named = [name for name in ordered if shares[name] >= NAMED]
    causes = [sentences[name](runs, quartet, spent, shares[name], evidence) for name in named or ordered[:1]]
    if len(causes) == 1:
        return causes
    return [
        replace(cause, sentence=cause.sentence.replace(":", f", {_percent(cause.share)} of what is lost:", 1))
        for cause in causes
    ]


def _waited(control: CellResult | None) -> float:
    """Return the share of the time in which workers of the control had no core: they wait for nothing else."""
    return 0.0 if control is None or not control.waited else float(np.median(control.waited))


def _ratio(part: float, whole: float) -> float:
    return min(1.0, part / whole) if whole > 0 else 0.0


def _on_waiting(runs: Runs, quartet: Quartet, evidence: dict[str, float]) -> Cause:
    share = evidence["waiting_share"]
    return _cause(
        runs,
        WAITS,
        evidence,
        f"Waiting: a call spends {_percent(share)} of its time without a core. {quartet.cell.workers} threads make "
        f"{_speedup(quartet.cell)} as many calls as one.",
        "Use more threads than cores, or asyncio; processes gain no more and cost more.",
        share,
    )


def _on_scaling(runs: Runs, quartet: Quartet, evidence: dict[str, float], *, nearly: bool) -> Cause:
    head = "It scales, or nearly" if nearly else "It scales"
    control = "" if runs.control is None else f"; the control reaches {_speedup(runs.control)}"
    return _cause(
        runs,
        SCALES,
        evidence,
        f"{head}: {quartet.cell.workers} threads make {_speedup(quartet.cell)} as many calls as one{control}.",
        "Use threads.",
    )


def _on_the_gil(runs: Runs, quartet: Quartet, spent: Account, share: float, evidence: dict[str, float]) -> Cause:
    held = f"The GIL was held {_percent(spent.gil_held)} of the time. " if spent.gil_held is not None else ""
    return _cause(
        runs,
        GIL,
        evidence,
        f"The GIL: {_compared(runs, quartet)}. {held}{_apart(runs)}".strip(),
        _advice_on_the_gil(runs),
        share,
    )


def _on_a_lock(runs: Runs, quartet: Quartet, spent: Account, share: float, evidence: dict[str, float]) -> Cause:
    gil = "there is no GIL" if spent.gil_held is None else f"the GIL was held {_percent(spent.gil_held)} of the time"
    return _cause(
        runs,
        LOCK,
        evidence,
        f"A lock of the program: {_compared(runs, quartet)}. They kept {spent.cores_busy:.2f} cores busy, and {gil}: "
        f"they waited for each other. {_apart(runs)}".strip(),
        "Look for a lock, a queue or a connection that all threads use, hold it for less, or give each thread its own.",
        share,
    )


def _on_a_serial_part(runs: Runs, quartet: Quartet, spent: Account, share: float, evidence: dict[str, float]) -> Cause:
    part = spent.serial_share
    amount = "" if part is None else f" By Amdahl's law {part.percent} of a call is serial."
    return _cause(
        runs,
        SERIAL_PART,
        evidence,
        f"A serial part: {_compared(runs, quartet)}. They kept {spent.cores_busy:.2f} cores busy. {_apart(runs)} "
        "Processes leave cores idle, too: something outside the "
        f"process lets one worker through at a time.{amount}",
        "Look for a file lock, a server, a database or a device that all workers use.",
        share,
    )


def _on_memory(runs: Runs, quartet: Quartet, spent: Account, share: float, evidence: dict[str, float]) -> Cause:
    control = evidence.get("memory_control_speedup")
    known = "" if control is None else f" The control that is bound by memory reaches {control:.2f}×."
    return _cause(
        runs,
        MEMORY_BOUND,
        evidence,
        f"Memory, or other hardware that the cores share: {_compared(runs, quartet)}. A call takes "
        f"{spent.cpu_growth:.2f}× the CPU time of a serial one, on processes too. {_apart(runs)}{known}",
        "Touch less memory: smaller types, blocks that fit in a cache, fewer passes and fewer new arrays.",
        share,
    )


def _on_shared_objects(runs: Runs, quartet: Quartet, spent: Account, share: float, evidence: dict[str, float]) -> Cause:
    return _cause(
        runs,
        SHARED_OBJECTS,
        evidence,
        f"Shared objects: {_compared(runs, quartet)}. A call on threads takes {spent.cpu_growth:.2f}× the CPU time of "
        f"a serial one: the cores fight over reference counts, short locks or cache lines. {_apart(runs)}".strip(),
        "Give each thread its own objects and merge at the end; --share-sweep tells which object it is.",
        share,
    )


def _on_transport(runs: Runs, evidence: dict[str, float]) -> list[Cause]:
    """The cause if processes gain only as long as nothing is sent to them."""
    transport, call = evidence.get("transport", 0.0), evidence["call"]
    apart = runs.processes
    if apart is None or apart.cell.speedup is None or evidence.get("sent_bytes", 0.0) < SMALL:
        return []
    warm = apart.cell.speedup.median
    sent = warm / (1 + warm * transport / call)
    if warm < WORTH or sent >= WORTH:
        return []
    return [
        _cause(
            runs,
            STARTUP,
            {**evidence, "processes_speedup_with_transport": significant(sent)},
            f"Transport: {apart.cell.workers} running processes make {_speedup(apart.cell)} as many calls as one, but "
            f"{format_bytes(evidence['sent_bytes'])} of arguments and result take {format_seconds(transport)} a call "
            f"to send, beside {format_seconds(call)} of work. With them, processes would gain {sent:.2f}×.",
            "Send less: let workers make or read their data, use shared memory, and return sums instead of data.",
            significant(1 - (sent - 1) / (warm - 1)) if warm > 1 else None,
        )
    ]


def _advice_on_the_gil(runs: Runs) -> str:
    cells = [quartet.cell for quartet in (runs.processes, runs.interpreters) if quartet is not None]
    ways = [cell.execution for cell in cells if (_median(cell) or 0.0) >= WORTH]
    *others, last = [*ways, "compiled code that releases the GIL", "a free-threaded Python"]
    return f"Use {', '.join(others)} or {last}."


# Numbers and text.


def _numbers(runs: Runs, found: Findings, quartet: Quartet, spent: Account | None) -> dict[str, float]:
    """The evidence of a Python: what its causes rest on."""
    call = 1 / (runs.alone.rate or 1.0)
    cpu = median_evidence(runs.alone, "cpu")
    numbers: dict[str, float | None] = {
        "workers": float(quartet.cell.workers),
        "call": call,
        "cpu_per_call": cpu,
        "waiting_share": None if cpu is None else max(0.0, 1 - cpu / call),
        "threads_speedup": _median(quartet.cell),
        "gil_held_serial": _mean(runs.alone, "gil_held"),
        "processes_speedup": _median(_cell(runs.processes)),
        "interpreters_speedup": _median(_cell(runs.interpreters)),
        "control_speedup": _median(runs.control),
        "held_control_speedup": _median(runs.held),
        "memory_control_speedup": _median(_measured(found.widest(MEMORY, runs.variant, "threads"))),
        "transport": median_evidence(runs.alone, "transport"),
        "sent_bytes": median_evidence(runs.alone, "sent_bytes"),
    }
    if spent is not None:
        total = spent.computing + spent.ready + spent.blocked
        numbers |= {
            "possible_speedup": spent.possible,
            "lost_share": spent.lost_share,
            "gil_held": spent.gil_held,
            "cores_busy": spent.cores_busy,
            "cpu_growth": spent.cpu_growth,
            "lost_computing": spent.computing / total if total > 0 else None,
            "lost_ready": spent.ready / total if total > 0 else None,
            "lost_blocked": spent.blocked / total if total > 0 else None,
        }
        if spent.serial_share is not None:
            numbers |= {f"serial_share_{name}": value for name, value in asdict(spent.serial_share).items()}
    return {name: significant(value) for name, value in numbers.items() if value is not None}


def _cell(quartet: Quartet | None) -> CellResult | None:
    return None if quartet is None else quartet.cell


def _median(cell: CellResult | None) -> float | None:
    return None if cell is None or cell.speedup is None else cell.speedup.median


def _mean(cell: CellResult | None, name: str) -> float | None:
    values = cell.evidence.get(name) if cell is not None else None
    return float(np.mean(values)) if values else None


def _cause(
    runs: Runs, name: str, evidence: dict[str, float], sentence: str, advice: str = "", share: float | None = None
) -> Cause:
    return Cause(name, runs.variant, None if share is None else significant(share), evidence, sentence, advice)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"


def _speedup(cell: CellResult) -> str:
    return "–" if cell.speedup is None else str(cell.speedup)


def _compared(runs: Runs, quartet: Quartet) -> str:
    control = "" if runs.control is None else f", where the control reaches {_speedup(runs.control)}"
    return f"{quartet.cell.workers} threads make {_speedup(quartet.cell)} as many calls as one{control}"


def _apart(runs: Runs) -> str:
    """What processes and interpreters gain."""
    found = [quartet.cell for quartet in (runs.processes, runs.interpreters) if quartet is not None]
    return " ".join(f"{cell.workers} {cell.execution}: {_speedup(cell)}." for cell in found)


def _lost(spent: Account) -> str:
    return f"{_percent(spent.lost_share)} of their time"


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
    for runs in _all_runs(found):
        sentences += [*_on_objects(runs, found), *_on_memory_growth(runs)]
        if runs.processes is not None and runs.processes.cell.startup is not None:
            cell = runs.processes.cell
            even = "" if cell.break_even is None else f", which pays from {plural(cell.break_even, 'call')} on"
            startup = format_seconds(cell.startup or 0.0)
            sentences.append(f"{cell.workers} processes of {runs.variant} need {startup} to start{even}.")
    return sentences
