"""A machine on which the cause is known by construction: what a call does is given, and the times follow from it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from parcount.studies.core.analysis import analyse
from parcount.studies.core.cells import Cell, Round, Sample
from parcount.studies.core.findings import Findings

LABEL = "3.11"


def cell(execution: str = "serial", workers: int = 1, workload: str = "target") -> Cell:
    return Cell(workload, LABEL, execution, workers, unit="call")


@dataclass(frozen=True)
class Call:
    """What a call does, in milliseconds.

    Parameters
    ----------
    python : float
        CPU time with the GIL.
    released : float
        CPU time without it.
    waits : float
        Without a core.
    locked : float
        The part of all this under a lock of the process.
    outside : float
        The part under a lock of the whole machine.
    shared, hardware : float
        CPU time that is added for each other thread, or other worker.
    transport : float
        To send its arguments and its result.
    """

    python: float = 0.0
    released: float = 0.0
    waits: float = 0.0
    locked: float = 0.0
    outside: float = 0.0
    shared: float = 0.0
    hardware: float = 0.0
    transport: float = 0.0


@dataclass
class Machine:
    """Makes the rounds of a call.

    Parameters
    ----------
    call : Call
        What a call does.
    cores : int
        How many there are, of which `given` run at the same time.
    gil : bool
        Whether Python has one.
    noise : float
        Standard deviation of a time, relative to it.
    """

    call: Call
    cores: int = 4
    given: float | None = None
    gil: bool = True
    noise: float = 0.01
    executions: Sequence[str] = ("threads", "processes")
    random: random.Random = field(default_factory=lambda: random.Random(1))

    def sample(self, one: Cell) -> Sample:
        """Return a run of 100 calls."""
        call = self.call if one.workload == "target" else Call(released=1.0)
        if one.workload == "held":
            call = Call(python=1.0)
        workers, threads = one.workers, one.execution in ("threads", "serial")
        cpu = call.python + call.released + call.hardware * (workers - 1)
        if threads:
            cpu += call.shared * (workers - 1)
        cores = min(workers, self.given if self.given is not None else self.cores)
        own = call.python if self.gil else 0.0
        bounds = [cpu + call.waits, workers * cpu / cores, workers * call.outside]
        if threads:
            bounds += [workers * own, workers * call.locked]
        time = max(bounds)
        drift = self.random.gauss(1, self.noise)
        evidence = {
            "cpu": cpu / 1000 * drift,
            "cores_busy": workers * cpu / time,
            "ready": max(0.0, workers * cpu / cores - cpu - call.waits) / 1000 if workers > self.cores else 0.0,
            "voluntary": 1.0 if time > cpu + call.waits else 0.1,
        }
        if self.gil:
            evidence["gil_held"] = min(1.0, (workers if threads else 1) * own / time)
        if one == cell():
            evidence |= {
                "overhead": 0.01,
                "batch": 1.0,
                "transport": call.transport / 1000,
                "sent_bytes": 1e6 * call.transport,
            }
        return Sample(100 * time / workers / 1000 * drift, True, evidence=evidence)

    def findings(self, rounds: int = 20) -> Findings:
        """Return what a study finds after some rounds."""
        counts = range(2, self.cores + 1)
        cells = [cell(), cell(workload="released"), cell(workload="held")]
        cells += [cell(execution, count) for execution in self.executions for count in (1, *counts)]
        cells += [
            cell(execution, count, "released")
            for execution in self.executions
            if execution != "interpreters"
            for count in counts
        ]
        cells += [cell("threads", self.cores, "held")] if self.cores > 1 else []
        if self.call.waits:
            cells += [cell("threads", 4 * self.cores)]
        made: list[Round] = [{one: self.sample(one) for one in cells} for _ in range(rounds)]
        work = dict.fromkeys(cells, 100)
        results = analyse(cells, made, work=work, startup={}, unmeasured={})
        return Findings(results, made, self.cores, self.gil)
