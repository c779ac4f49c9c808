"""Where the time of a call goes that several workers make: from samples to shares of what is lost.

In each round the time of a call on several workers is compared with what it would be if the workers gained as much as
those of the control, which shares nothing. The difference is lost, and has parts: CPU time beyond that of a serial
call, time ready without a core, and the rest, in which the worker was blocked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from parcount.studies.core.analysis import CellResult
from parcount.studies.core.cells import Cell, Round, Sample
from parcount.studies.core.findings import Findings
from parcount.studies.core.statistics import Estimate, estimate

SWITCH = 5e-6
"""Seconds of CPU time that a voluntary context switch and the wake-up after it take, roughly.

Threads that fight for a lock spend this time in the kernel, which is no work of theirs.
"""

TAKEN_BY_HOST = 0.2
"""Share of the time that the host of a virtual machine may take while the control still gains."""

LONGEST_WAIT = 0.02
"""Seconds that a worker of short calls is blocked at most, each time that it blocks: four times what a thread keeps the
GIL."""


@dataclass(frozen=True)
class Account:
    """Where the time of a call goes; medians over rounds.

    Attributes
    ----------
    speedup, possible : float
        The speedup of the workers, and what it would be without a loss.
    time, lost : float
        Seconds of a worker for one call, and how many of them are lost.
    computing, ready, blocked : float
        The parts of what is lost.
    cpu_growth : float
        CPU time of a call relative to that of a serial one.
    cores_busy : float
        Cores that the workers kept busy.
    gil_held : float or None
        Share of the time in which the GIL was held; None without a GIL.
    serial_share : Estimate or None
        The share of a call that is serial by Amdahl's law; None if there is no round with a possible speedup above 1.
    """

    speedup: float
    possible: float
    time: float
    lost: float
    computing: float
    ready: float
    blocked: float
    cpu_growth: float
    cores_busy: float
    gil_held: float | None
    serial_share: Estimate | None

    @property
    def lost_share(self) -> float:
        """Share of the time that is lost."""
        return max(0.0, self.lost / self.time)


@dataclass(frozen=True)
class Quartet:
    """A cell with its baseline, and the control under the same execution with its own."""

    cell: CellResult
    serial: CellResult
    control: CellResult | None
    control_serial: CellResult | None

    @property
    def cells(self) -> list[Cell]:
        """Those that there are."""
        every = (self.cell, self.serial, self.control, self.control_serial)
        return [one.cell for one in every if one is not None]


def possible_speedups(found: Findings, quartet: Quartet) -> list[tuple[float, float]]:
    """Return for each round the speedup of a cell, and the one that it would have without a loss.

    Workers that wait need no core meanwhile. What they compute shares the cores as the control does.
    """
    pairs = []
    for one in _rounds(found, quartet):
        serial, many = one[quartet.serial.cell], one[quartet.cell.cell]
        call, time = _per_call(serial, quartet.serial), _per_call(many, quartet.cell)
        cpu = min(call, serial.evidence["cpu"])
        pairs.append((call / time, _possible(found, quartet, one, call, cpu)))
    return pairs


def account(found: Findings, quartet: Quartet) -> Account | None:
    """Return where the time of a call goes; None if no round has all that it takes."""
    rows = []
    workers = quartet.cell.workers
    for one in _rounds(found, quartet):
        serial, many = one[quartet.serial.cell], one[quartet.cell.cell]
        if "cpu" not in serial.evidence or "cpu" not in many.evidence:
            continue
        call, time = _per_call(serial, quartet.serial), _per_call(many, quartet.cell) * workers
        cpu = min(call, serial.evidence["cpu"])
        possible = _possible(found, quartet, one, call, cpu)
        lost = time - workers * call / possible
        growth = _growth(quartet, one)
        switches = many.evidence.get("voluntary", 0.0) - serial.evidence.get("voluntary", 0.0)
        computing = many.evidence["cpu"] - cpu * growth - max(0.0, switches) * SWITCH
        ready = many.evidence.get("ready", 0.0) - serial.evidence.get("ready", 0.0)
        if workers > found.available:
            ready = 0.0  # there is no core for each
        ready = max(0.0, ready)
        computing = max(0.0, computing)
        blocked = max(0.0, lost - computing - ready)
        # A virtual machine's host takes cores, which looks like a worker that is blocked, but without a switch.
        if blocked < TAKEN_BY_HOST * time and "voluntary" in many.evidence:
            blocked = min(blocked, many.evidence["voluntary"] * max(LONGEST_WAIT, 2 * time))
        rows.append(
            (
                call * workers / time,
                possible,
                time,
                lost,
                computing,
                ready,
                blocked,
                many.evidence["cpu"] / cpu if cpu > 0 else 1.0,
                many.evidence["cores_busy"],
            )
        )
    if not rows:
        return None
    held = quartet.cell.evidence.get("gil_held")
    names = [field.name for field in fields(Account) if field.name not in ("gil_held", "serial_share")]
    medians = dict(zip(names, map(float, np.median(rows, axis=0)), strict=True))
    return Account(
        **medians,
        gil_held=float(np.mean(held)) if held else None,
        serial_share=_serial_share([row[:2] for row in rows]),
    )


def _serial_share(pairs: Sequence[tuple[float, float]]) -> Estimate | None:
    """Amdahl's serial share, from the speedup and the possible one in each round."""
    shares = [(possible / speedup - 1) / (possible - 1) for speedup, possible in pairs if possible > 1]
    return estimate([min(1.0, max(0.0, share)) for share in shares]) if shares else None


def median_evidence(cell: CellResult | None, name: str) -> float | None:
    """Return the median of what was measured beside a cell."""
    values = cell.evidence.get(name) if cell is not None else None
    return float(np.median(values)) if values else None


def _rounds(found: Findings, quartet: Quartet) -> Sequence[Round]:
    return [one for one in found.rounds if all(cell in one for cell in quartet.cells)]


def _per_call(sample: Sample, cell: CellResult) -> float:
    return sample.seconds / (cell.work or 1)


def _possible(found: Findings, quartet: Quartet, one: Round, call: float, cpu: float) -> float:
    """The speedup of workers that lose nothing: limited by their number, and by the cores for what they compute."""
    workers = quartet.cell.workers
    cores = float(min(workers, found.available))
    stretch = 1.0
    if quartet.control is not None and quartet.control_serial is not None:
        control, alone = one[quartet.control.cell], one[quartet.control_serial.cell]
        cores = _per_call(alone, quartet.control_serial) / _per_call(control, quartet.control)
        stretch = max(1.0, quartet.control.workers / cores)
    time = max(call - cpu + cpu * stretch, workers * cpu / cores)
    return workers * call / time


def _growth(quartet: Quartet, one: Round) -> float:
    """The CPU time of a call of the control relative to that of a serial one: cores that share hardware are slower."""
    if quartet.control is None or quartet.control_serial is None:
        return 1.0
    control, alone = one[quartet.control.cell], one[quartet.control_serial.cell]
    if not alone.evidence.get("cpu"):
        return 1.0
    return max(1.0, control.evidence["cpu"] / alone.evidence["cpu"])
