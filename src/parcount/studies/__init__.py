"""The instrument: which cells, measured in rounds, analysed, and the verdict."""

from __future__ import annotations

import os
from collections.abc import Sequence

from parcount.studies.core.driver import Progress, run_study
from parcount.studies.core.options import how_long
from parcount.studies.core.result import Study
from parcount.studies.gil.cells import matrix, options
from parcount.studies.gil.runner import CellRunner
from parcount.studies.gil.verdict import build_verdict

__all__ = ["Progress", "Study", "options", "study"]

TARGET = 1 / 800
"""Of the time there is, the share that one run of a serial cell should take: thirty cells then have twenty rounds."""

LEAST_TARGET = 0.05
"""Seconds that it should take at least: in less, the milliseconds count until the system has spread the workers."""


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
        Of "serial", "threads", "processes", "interpreters"; all that this Python has by default. Serial cells are
        always measured: they are the baseline.
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
    asked = options(
        workloads=_several(workloads),
        variants=_several(variants),
        executions=_several(executions),
        workers=[workers] if isinstance(workers, int) else workers,
        size=size,
        data=data,
        seed=seed,
        seconds=how_long(seconds, quick),
    )
    cells, unmeasured = matrix(asked)
    laboratory = CellRunner(asked, max(asked.seconds * TARGET, LEAST_TARGET))
    return run_study(asked, cells, unmeasured, laboratory, build_verdict, progress=progress)


def _several(names: str | Sequence[str] | None) -> Sequence[str] | None:
    return [names] if isinstance(names, str) else names
