"""The tables of the study of the user's function: its executions, the controls, the evidence, and several Pythons."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from parcount.report.table import Column, Table
from parcount.report.units import format_bytes, format_seconds, plural, two_decimals
from parcount.studies.core.analysis import MEASURED, CellResult
from parcount.studies.core.claims import left_out
from parcount.studies.core.result import Study
from parcount.studies.core.tables import (
    DETAIL,
    INTERVAL,
    interval,
    pays_from,
    speedup_cells,
    speedup_columns,
    start_up,
    status,
)
from parcount.studies.scale.runtime import HELD, MEMORY, RELEASED, TARGET

LEGEND = (
    "calls/s: of one serial worker. The other columns: how many times as many calls, the median of the ratios in each "
    "round, with its 95 % interval."
)

CONTROLS = {
    RELEASED: "control: releases the GIL",
    HELD: "control: holds the GIL",
    MEMORY: "control: bound by memory",
}

DETAILS = (
    "CPU, ready: CPU time of a call, and the time that its worker was ready and had no core. switches: voluntary and "
    "involuntary context switches of a call. GIL: share of the time in which it was held, and mean wait of a thread "
    "that asks for it. start-up: time that new workers need beyond that of running ones. pays from: calls from which "
    "starting them pays."
)


def tables(study: Study) -> Iterator[Table]:
    """Yield the table of several Pythons, if there are several; then that of speedups, and the evidence."""
    if len({cell.variant for cell in study.cells}) > 1:
        yield _pythons(study)
    yield _speedups(study)
    yield _evidence(study)


def legend(study: Study, *, details: bool = False) -> Iterator[str]:
    """Yield what the columns mean, what is known of the calls, and what was left out."""
    yield LEGEND
    if details:
        yield DETAILS
    available = study.environment["cores"]["parallel"]
    if any(cell.workers > needed_cores(study) for cell in study.cells):
        yield f"* more workers than the {plural(available, 'core')} available."
    if details:
        for law in study.verdict.fits:
            if "reason" in law:
                yield f"No law was fitted to {law['execution']} of {law['variant']}: {law['reason']}."
    pythons = study.environment.get("pythons", [])
    for python in pythons:
        for note in python.get("notes", []):
            yield f"{python['label']}: {note}" if len(pythons) > 1 else note
    if any(python["free_threaded"] and python["gil"] for python in pythons):
        yield "A free-threaded build with the GIL on is no stand-in for the ordinary build, which is faster."
    yield from _different_versions(pythons)
    yield from left_out(study.cells, _label, lambda cell: f" on {cell.execution}" if cell.workers > 1 else "")


def _different_versions(pythons: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the versions of each library of which not all Pythons have the same."""
    names = dict.fromkeys(name for python in pythons for name in python.get("versions", {}))
    for name in names:
        labels: dict[str, list[str]] = {}
        for python in pythons:
            if name in python.get("versions", {}):
                labels.setdefault(python["versions"][name], []).append(python["label"])
        if len(labels) > 1:
            each = "; ".join(f"{version} in {', '.join(among)}" for version, among in labels.items())
            yield f"{name} differs: {each}."


def _label(cell: CellResult) -> str:
    return f"{CONTROLS.get(cell.workload, 'the target')}, {cell.variant}"


def _speedups(study: Study) -> Table:
    """A row for each Python, workload and execution."""
    workers = sorted({cell.workers for cell in study.cells if cell.execution != "serial"})
    rows: list[Sequence[str]] = []
    variants = dict.fromkeys(cell.variant for cell in study.cells)
    for variant in variants:
        for workload in dict.fromkeys(cell.workload for cell in study.cells if cell.variant == variant):
            cells = [cell for cell in study.cells if (cell.variant, cell.workload) == (variant, workload)]
            alone = next((cell for cell in cells if cell.execution == "serial"), None)
            own = variant if len(variants) > 1 else "your function"
            name = own if workload == TARGET else CONTROLS.get(workload, workload)
            rate = ""
            if alone is not None:
                rate = status(alone) if alone.rate is None else two_decimals(alone.rate)
            executions = dict.fromkeys(cell.execution for cell in cells if cell is not alone)
            for execution in executions or ["serial"]:
                row = {cell.workers: cell for cell in cells if cell.execution == execution}
                several = row if execution != "serial" else {}
                widest = max(row.values(), key=lambda cell: (cell.status == MEASURED, cell.workers))
                speeds = [text for count in workers for text in speedup_cells(several.get(count))]
                rows.append((name, execution, rate, *speeds, start_up(widest), pays_from(widest)))
    columns = [
        Column("", left=True),
        Column("on", left=True),
        Column("calls/s", 2 if workers else 1),
        *speedup_columns(workers, needed_cores(study)),
        Column("start-up", DETAIL, details=True),
        Column("pays from", DETAIL + 1, details=True),
    ]
    return Table(str(study.options.get("target")), columns, rows)


def needed_cores(study: Study) -> float:
    """Return the number of workers for which there are cores; workers that wait need none."""
    waits = any(cause.cause == "waiting" for cause in study.verdict.causes)
    cores: int = study.environment["cores"]["parallel"]
    return math.inf if waits else cores


def _evidence(study: Study) -> Table:
    """A row for each cell: what was measured beside its time."""
    names = ("CPU", "cores busy", "ready", "switches", "GIL held", "GIL wait", "page faults", "memory")
    columns = [
        Column("", left=True),
        Column("on", left=True),
        Column("workers"),
        *(Column(name, rank) for rank, name in enumerate(names, 1)),
    ]
    rows = [_evidence_row(study, cell) for cell in study.cells if cell.evidence]
    return Table("evidence: medians, for one call", columns, rows, details=True)


def _evidence_row(study: Study, cell: CellResult) -> Sequence[str]:
    found = {name: median(values) for name, values in cell.evidence.items() if values}

    def shown(form: Any, *names: str) -> str:
        values = [found[name] for name in names if name in found]
        return form(sum(values)) if values else ""

    held = cell.evidence.get("gil_held")
    return (
        f"{cell.variant}: {CONTROLS.get(cell.workload, study.options.get('target') or '')}",
        cell.execution,
        str(cell.workers),
        shown(format_seconds, "cpu"),
        shown(lambda value: f"{value:.2f}", "cores_busy"),
        shown(format_seconds, "ready"),
        shown(lambda value: f"{value:.2g}", "voluntary", "involuntary"),
        f"{100 * sum(held) / len(held):.0f} %" if held else "",
        shown(format_seconds, "gil_wait"),
        shown(lambda value: f"{value:.2g}", "minor_faults", "major_faults"),
        shown(format_bytes, "memory"),
    )


def _pythons(study: Study) -> Table:
    """A row for each Python: its cost with one worker, what several gain, and from how many on it wins."""
    variants = list(dict.fromkeys(cell.variant for cell in study.cells))
    target = [cell for cell in study.cells if cell.workload == TARGET]
    workers = sorted({cell.workers for cell in target if cell.execution != "serial"})
    cores = study.environment["cores"]["parallel"]
    most = max((count for count in workers if count <= cores), default=1)
    alone = {cell.variant: cell for cell in target if cell.execution == "serial"}
    costs = {one.against: one.speedup for one in study.verdict.comparisons if one.execution == "serial"}
    causes = {cause.variant: cause.cause for cause in reversed(study.verdict.causes)}
    rows = []
    for variant in variants:
        own = alone.get(variant)
        cost = costs.get(variant)
        gains = []
        for execution in ("threads", "processes", "interpreters"):
            found = [one for one in target if (one.variant, one.execution) == (variant, execution)]
            gains.append(next((speedup_cells(one)[0] for one in found if one.workers == most), ""))
        rows.append(
            (
                variant,
                "–" if own is None or not own.rate else two_decimals(own.rate),
                "" if cost is None else f"{cost.median:.2f}×",
                interval(cost),
                *gains,
                _wins(target, variants[0], variant),
                causes.get(variant, ""),
            )
        )
    columns = [
        Column("Python", left=True),
        Column("calls/s", 2),
        Column("cost of\none worker", 1),
        Column(INTERVAL, 8, label=f"{INTERVAL} of cost of one worker"),
        *(Column(f"{most}\n{name}", rank) for rank, name in ((3, "threads"), (5, "processes"), (6, "interpreters"))),
        Column("threads\nwin from", 4),
        Column("cause", 7, left=True),
    ]
    return Table(f"Pythons: each against {variants[0]}", columns, rows)


def _wins(cells: Sequence[CellResult], first: str, variant: str) -> str:
    """Return from how many threads on a Python makes more calls than the first with as many."""
    rates = {
        name: {
            cell.workers: cell.rate
            for cell in cells
            if cell.variant == name and cell.execution == "threads" and cell.rate
        }
        for name in (first, variant)
    }
    shared = sorted(rates[first].keys() & rates[variant].keys())
    if variant == first or not shared:
        return ""
    wins = [count for count in shared if rates[variant][count] > rates[first][count]]
    return str(wins[0]) if wins else "never"
