"""A study from its first look at the machine to its verdict, whatever it is about."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from operator import attrgetter
from time import perf_counter

from parcount.studies.core.analysis import CellResult, analyse
from parcount.studies.core.cells import Cell, Round
from parcount.studies.core.claims import Verdict, undecided_cells
from parcount.studies.core.environment import environment, gil_enabled, threading_layer
from parcount.studies.core.load import Watch
from parcount.studies.core.options import Options
from parcount.studies.core.result import Study
from parcount.studies.core.rounds import measure
from parcount.studies.core.runner import Runner
from parcount.system.cores import available_cores

Progress = Callable[[str, float, float], None]
"""Told what is going on, the seconds passed, and the seconds that it will take in all."""

STOLEN = 0.05
"""Cores taken by the hypervisor from which it is told as a load."""


def run_study(
    asked: Options,
    cells: Sequence[Cell],
    unmeasured: Mapping[Cell, tuple[str, str]],
    equipment: Runner,
    build_verdict: Callable[..., Verdict],
    *,
    undecided_cells: Callable[[Sequence[CellResult], int], Collection[Cell]] = undecided_cells,
    may_lose: Collection[str] = (),
    baseline: Callable[[Cell], Cell] = attrgetter("baseline"),
    progress: Progress | None = None,
) -> Study:
    """Measure cells in rounds for as long as was asked for, and reach a verdict.

    Parameters
    ----------
    asked : Options
        What the study's caller asked for.
    cells : sequence of Cell
        In the order of the result.
    unmeasured : mapping of Cell to (status, reason)
        Those to leave out.
    equipment : Runner
        Runs the cells; opened here, and closed.
    build_verdict : callable
        As `parcount.studies.gil.verdict.build_verdict`.
    undecided_cells : callable
        As `parcount.studies.gil.verdict.undecided_cells`: cells that get what time is left.
    may_lose : collection of str
        Variants whose counts need not be exact: how much they lose is what is asked.
    baseline : callable
        Which cell another's speedup is against.
    progress : callable, optional
        Told what is going on, the seconds passed and the seconds expected.
    """
    began = perf_counter()
    surroundings = environment()
    available = available_cores()
    rounds: list[Round] = []
    complete = False
    watch = Watch()

    def tell(what: str) -> None:
        passed = perf_counter() - began
        if progress is not None:
            progress(what, passed, max(passed, asked.seconds))

    with equipment as laboratory:

        def results() -> list[CellResult]:
            return analyse(
                cells,
                rounds,
                work=laboratory.work,
                startup=laboratory.startup,
                unmeasured={**unmeasured, **laboratory.failed},
                may_lose=may_lose,
                baseline=baseline,
            )

        try:
            runnable = [cell for cell in cells if cell not in unmeasured]
            laboratory.prepare(runnable, tell)
            measure(
                [cell for cell in runnable if cell not in laboratory.failed],
                laboratory.run,
                rounds=rounds,
                until=began + asked.seconds,
                wanting=lambda _: undecided_cells(results(), available) if asked.size != 0 else set[Cell](),
                order=random.Random(asked.seed),
                progress=tell,
                baseline=baseline,
            )
            complete = True
        except KeyboardInterrupt:
            pass  # what has been measured is worth telling
        load = [str(neighbour) for neighbour in watch.neighbours(laboratory.pids())]
        if (stolen := watch.stolen()) > STOLEN:
            load.append(f"the hypervisor gave {stolen:.2f} cores to other machines")

    found = results()
    verdict = build_verdict(found, rounds, available=available, gil=gil_enabled(), load=load, partial=not complete)
    surroundings |= {"threading_layer": threading_layer(), "load": load}
    return Study(surroundings, asked.asdict(), found, verdict, complete)
