"""The driver of a study: from the description of the machine to the verdict."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from time import perf_counter

from parcount.studies.core.analysis import analyse
from parcount.studies.core.cells import Cell, Round
from parcount.studies.core.environment import environment, gil_enabled, threading_layer
from parcount.studies.core.experiment import Experiment
from parcount.studies.core.findings import Findings
from parcount.studies.core.result import Study
from parcount.studies.core.rounds import measure
from parcount.system.cores import cores
from parcount.system.load import Watch

Progress = Callable[[str, float, float], None]
"""Called with a description of the current step, the seconds passed, and the seconds expected in all."""

STOLEN = 0.05
"""Cores that the hypervisor takes from which the verdict mentions it."""


def run_study(
    experiment: Experiment, progress: Progress | None = None, clock: Callable[[], float] = perf_counter
) -> Study:
    """Measure an experiment's cells in rounds until its claims are decided, or its time is over; build the verdict.

    Ctrl-C ends the measurement; the study is then marked as not complete.

    Parameters
    ----------
    experiment : Experiment
        The study; it is opened and closed here.
    progress : callable, optional
        Called with a description of the current step, the seconds passed and the seconds expected.
    clock : callable, optional
        Returns the time in seconds.
    """
    began = clock()
    options = experiment.options
    described = environment()
    limits = cores()
    rounds: list[Round] = []
    complete = False
    watch = Watch()

    def report(what: str, end: float = began + options.seconds) -> None:
        passed = clock() - began
        if progress is not None:
            progress(what, passed, max(passed, end - began))

    def findings(*, intervals: bool, load: Sequence[str] = ()) -> Findings:
        results = analyse(
            all_cells,
            rounds,
            work=experiment.work,
            startup=experiment.startup,
            unmeasured={**unmeasured, **experiment.failed},
            may_lose=experiment.lossy_variants,
            baseline=experiment.baseline,
            intervals=intervals,
        )
        reason = limits.reason if limits.parallel < limits.machine or limits.quota is not None else ""
        return Findings(results, rounds, limits.parallel, gil_enabled(), load, reason)

    def undecided() -> set[Cell]:
        claims = experiment.claims(findings(intervals=False))
        named = {name for claim in claims if claim.holds is None for name in claim.cells}
        return {cell for cell in all_cells if str(cell) in named and experiment.work.get(cell)}

    with experiment:
        all_cells, unmeasured = experiment.cells()
        try:
            runnable = [cell for cell in all_cells if cell not in unmeasured]
            experiment.prepare(runnable, report)
            measure(
                [cell for cell in runnable if cell not in experiment.failed],
                experiment.run,
                rounds=rounds,
                until=began + options.seconds,
                undecided=undecided,
                order=random.Random(options.seed),
                clock=clock,
                progress=report,
                baseline=experiment.baseline,
            )
            complete = True
        except KeyboardInterrupt:
            pass  # the rounds so far are reported
        load = [str(neighbour) for neighbour in watch.neighbours(experiment.pids())]
        if (stolen := watch.stolen()) > STOLEN:
            load.append(f"the hypervisor gave {stolen:.2f} cores to other machines")

    found = findings(intervals=True, load=load)
    verdict = experiment.build_verdict(found, partial=not complete)
    described |= {"threading_layer": threading_layer(), "load": load, **experiment.environment()}
    return Study(described, experiment.options.asdict(), list(found.results), verdict, complete)
