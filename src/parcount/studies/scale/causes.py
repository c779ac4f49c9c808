"""The causes why more workers do not do more: from where the time goes to sentences, with what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np

from parcount.report.units import format_bytes, format_seconds, grouped, plural
from parcount.studies.core.analysis import CellResult
from parcount.studies.core.claims import UNDECIDED, Cause, Claim, parallel_share
from parcount.studies.core.findings import Findings
from parcount.studies.core.statistics import significant
from parcount.studies.scale.accounting import Account, Quartet, account, median_evidence
from parcount.studies.scale.runs import Runs, all_runs, claim_holds, is_waiting, statement_on
from parcount.studies.scale.runtime import MEMORY

NEARLY = 0.7
"""The speedup, relative to what is possible, and the parallel share, from which the target scales nearly: where it
cannot be told whether the speedup is above or below `FULLY`."""

NAMED = 0.3
"""Share of the lost time from which a cause is named beside a stronger one."""

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

SCALES, GIL, LOCK, SHARED_OBJECTS, MEMORY_BOUND = "scales", "gil", "lock", "shared-objects", "memory"
WAITS, STARTUP, SERIAL_PART, MACHINE = "waiting", "startup", "serial-part", "machine"


def diagnose(found: Findings, claims: Sequence[Claim]) -> list[Cause]:
    """Return the causes in each Python, the strongest first."""
    return [cause for runs in all_runs(found) for cause in _causes_in(runs, found, claims)]


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
    waits = is_waiting(runs)
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


def _nearly(claims: Sequence[Claim], runs: Runs, quartet: Quartet, spent: Account | None) -> bool:
    """Whether it is undecided only if the workers gain all or nearly all of what they can."""
    statement = statement_on(runs, quartet)
    estimate = next((claim.estimate for claim in claims if claim.statement == statement), None)
    if estimate is None or spent is None or estimate.low < NEARLY:
        return False
    # Where the machine gives little, workers that gain nothing are near what is possible, too.
    return parallel_share(spent.speedup, spent.possible)[0] >= NEARLY


def _on_threads(runs: Runs, found: Findings, claims: Sequence[Claim], *, waits: bool) -> list[Cause]:
    """The causes where the machine gives several cores."""
    quartet = runs.beyond if waits and runs.beyond is not None else runs.threads or runs.beyond
    assert quartet is not None
    holds = claim_holds(claims, runs, quartet)
    spent = account(found, quartet)
    evidence = _numbers(runs, found, quartet, spent)
    waiting: list[Cause] = []
    if waits and (_median(quartet.cell) or 0.0) >= MORE:
        waiting.append(_on_waiting(runs, quartet, evidence))
    if holds is True or (holds is None and _nearly(claims, runs, quartet, spent)):
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
    apart_holds = claim_holds(claims, runs, apart)
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
    ready = median_evidence(control, "ready")
    return 0.0 if control is None or ready is None else ready * (control.rate or 0.0) / control.workers


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
        "memory_control_speedup": _median(found.widest(MEMORY, runs.variant, "threads")),
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
