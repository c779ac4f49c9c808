"""What threads, processes and asyncio buy where a program waits for a network, and where it computes."""

from __future__ import annotations

from collections.abc import Sequence

from parcount.studies.core.driver import Progress, run_study
from parcount.studies.core.options import how_long
from parcount.studies.core.result import Study
from parcount.studies.io.cells import matrix, options
from parcount.studies.io.runner import CellRunner
from parcount.studies.io.verdict import build_verdict, undecided_cells

__all__ = ["options", "study_io"]

TARGET = 1 / 240
"""Of the time there is, the share that one run should take: thirteen cells then have a dozen rounds."""

LEAST_TARGET = 0.1
"""Seconds that it should take at least: each worker then fetches some pages one after the other."""


def study_io(
    executions: str | Sequence[str] | None = None,
    *,
    workers: int | Sequence[int] | None = None,
    size: int | None = None,
    delay: float | None = None,
    seed: int = 0,
    quick: bool = False,
    seconds: float | None = None,
    progress: Progress | None = None,
) -> Study:
    """Measure what more workers buy where Python waits for a network, and beside it where it computes.

    Pages are fetched from a real HTTP server on this machine that waits before each answer: serially, by threads, by
    processes, and by the tasks of one event loop. Beside that, in the same rounds, the counting loop in plain Python
    runs under the same executions. Every page is compared with what the server must have sent, every count with the
    exact one.

    Parameters
    ----------
    executions : str or sequence of str, optional
        Of "serial", "threads", "processes", "asyncio"; all by default. Serial cells are always measured: they are the
        baseline.
    workers : int or sequence of int, optional
        How many fetch at once; 2, 8 and 32 by default. The counting loop always has as many as there are cores, but at
        least two.
    size : int, optional
        Pages in one run. By default as many as each cell fetches in a quarter of a second; in less, if there is less
        time in all.
    delay : float, optional
        Milliseconds that the server waits before each answer; 10 by default.
    seed : int, optional
        Of the order of the cells, and of the keys that are counted.
    quick : bool, optional
        Take 20 seconds rather than 60: wider intervals, more often undecided.
    seconds : float, optional
        How long to take instead.
    progress : callable, optional
        Told what is going on, the seconds passed and the seconds expected.

    Returns
    -------
    Study
        Its cells are of the workloads "fetch", whose work is pages, and "tally".

    Raises
    ------
    ValueError
        If a name does not exist or a number is out of range.
    OSError
        If the server cannot be started.

    Notes
    -----
    Every worker has a client of its own with one connection, which stays; starting these is measured apart. The client
    is httpx, which has one face for threads and one for asyncio, both written in Python; where it is not installed
    nothing is fetched. The server runs in a process of its own and takes its share of the same cores, which the result
    tells.

    Under spawn and forkserver, worker processes import the main module: a script calls this below
    ``if __name__ == "__main__":``.

    Examples
    --------
    >>> import parcount as pc
    >>> result = pc.study_io("threads", workers=2, size=4, delay=1, seconds=0.01)
    >>> result.exact
    True
    """
    asked = options(
        executions=executions, workers=workers, size=size, delay=delay, seed=seed, seconds=how_long(seconds, quick)
    )
    cells, unmeasured = matrix(asked)
    laboratory = CellRunner(asked, max(asked.seconds * TARGET, LEAST_TARGET))
    return run_study(
        asked, cells, unmeasured, laboratory, build_verdict, undecided_cells=undecided_cells, progress=progress
    )
