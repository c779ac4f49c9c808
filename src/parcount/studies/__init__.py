"""The instrument: which cells, measured in rounds, analysed, and the verdict."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from time import perf_counter

from parcount.execution.cores import available_cores
from parcount.studies.analysis import CellResult, analyse
from parcount.studies.cells import Cell, Round
from parcount.studies.laboratory import Laboratory
from parcount.studies.load import Watch
from parcount.studies.machine import environment, gil_enabled, threading_layer
from parcount.studies.plan import QUICK_SECONDS, SECONDS, matrix, options
from parcount.studies.result import Study
from parcount.studies.rounds import measure
from parcount.studies.verdict import reach, unclear

__all__ = ["Study", "study"]

Progress = Callable[[str, float, float], None]
"""Told what is going on, the seconds passed, and the seconds that it will take in all."""

TARGET = 1 / 800
"""Of the time there is, the share that one run of a serial cell should take: thirty cells then have twenty rounds."""

LEAST_TARGET = 0.05
"""Seconds that it should take at least: in less, the milliseconds count until the system has spread the workers."""

STOLEN = 0.05
"""Cores taken by the hypervisor from which it is told as a load."""


def study(
    workloads: str | Sequence[str] | None = None,
    *,
    variants: str | Sequence[str] | None = None,
    executions: str | Sequence[str] | None = None,
    workers: int | Sequence[int] | None = None,
    size: int | None = None,
    data: str | os.PathLike[str] | None = None,
    seed: int = 0,
    quick: bool = False,
    seconds: float | None = None,
    progress: Progress | None = None,
) -> Study:
    """Measure how a counting loop scales: variants × executions × workers, exact or nothing.

    Every cell runs once a round, in a new order each round; its workers start at one instant; a speedup is the
    median over rounds of the ratio to the same variant's serial cell in the same round. Every run's counts are
    compared with the exact ones.

    Parameters
    ----------
    workloads : str or sequence of str, optional
        Of "tally" (the default), "increment", "bincount", "histogram".
    variants : str or sequence of str, optional
        Of "python", "numpy", "cython", "cython-gil", "numba", "numba-parallel"; all by default.
    executions : str or sequence of str, optional
        Of "serial", "threads", "processes"; all by default. Serial cells are always measured: they are the baseline.
    workers : int or sequence of int, optional
        1, 2, … all available cores by default; on more than four cores, doublings.
    size : int, optional
        Increments in one run. By default each variant counts as many as it does in about a tenth of a second, for
        a speedup is a ratio within one variant.
    data : path, optional
        A file whose bytes the bincount workload counts instead of generated keys.
    seed : int, optional
        Of the generated data and of the order of the cells.
    quick : bool, optional
        Take 20 seconds rather than 60: wider intervals, more often undecided.
    seconds : float, optional
        How long to take instead.
    progress : callable, optional
        Told what is going on, the seconds passed and the seconds expected.

    Returns
    -------
    Study
        With the verdict, every cell, and the environment. If Ctrl-C interrupts it: what had been measured by then,
        marked as not complete.

    Raises
    ------
    ValueError
        If a name does not exist or a number is out of range.
    OSError
        If `data` cannot be read, or there is not the shared memory for the `size` asked for.

    Notes
    -----
    The data lies in shared memory, so that threads and processes count the same cells. What other programs take is
    measured too (on Linux); what they disturbed is called undecided.

    Under spawn and forkserver, worker processes import the main module: a script calls this below
    ``if __name__ == "__main__":``.

    Examples
    --------
    >>> import parcount as pc
    >>> result = pc.study("tally", variants="cython", executions="threads", workers=1, size=1000, seconds=0.01)
    >>> result.exact
    True
    """
    began = perf_counter()
    if seconds is None:
        seconds = QUICK_SECONDS if quick else SECONDS
    asked = options(
        workloads=_several(workloads),
        variants=_several(variants),
        executions=_several(executions),
        workers=[workers] if isinstance(workers, int) else workers,
        size=size,
        data=data,
        seed=seed,
        seconds=seconds,
    )
    cells, unmeasured = matrix(asked)
    surroundings = environment()
    available = available_cores()
    rounds: list[Round] = []
    complete = False
    watch = Watch()

    def tell(what: str) -> None:
        passed = perf_counter() - began
        if progress is not None:
            progress(what, passed, max(passed, asked.seconds))

    with Laboratory(asked, max(asked.seconds * TARGET, LEAST_TARGET)) as laboratory:

        def results() -> list[CellResult]:
            return analyse(
                cells,
                rounds,
                work=laboratory.work,
                startup=laboratory.startup,
                unmeasured={**unmeasured, **laboratory.failed},
            )

        try:
            runnable = [cell for cell in cells if cell not in unmeasured]
            laboratory.prepare(runnable, tell)
            measure(
                [cell for cell in runnable if cell not in laboratory.failed],
                laboratory.run,
                rounds=rounds,
                until=began + asked.seconds,
                wanting=lambda _: unclear(results(), available) if asked.size != 0 else set[Cell](),
                order=random.Random(asked.seed),
                progress=tell,
            )
            complete = True
        except KeyboardInterrupt:
            pass  # what has been measured is worth telling
        load = [str(neighbour) for neighbour in watch.neighbours(laboratory.pids())]
        if (stolen := watch.stolen()) > STOLEN:
            load.append(f"the hypervisor gave {stolen:.2f} cores to other machines")

    found = results()
    verdict = reach(found, rounds, available=available, gil=gil_enabled(), load=load, partial=not complete)
    surroundings |= {"threading_layer": threading_layer(), "load": load}
    return Study(surroundings, asked.asdict(), found, verdict, complete)


def _several(names: str | Sequence[str] | None) -> Sequence[str] | None:
    return [names] if isinstance(names, str) else names
