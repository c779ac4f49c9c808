"""Studies: measurements of this machine that end in a verdict, with the samples that it rests on."""

from __future__ import annotations

from typing import Any

from parcount.report.notebook import shown_progress
from parcount.studies.core.driver import Progress, run_study
from parcount.studies.core.options import QUICK_SECONDS
from parcount.studies.core.registry import DEFAULT, SCALE, find_experiment
from parcount.studies.core.result import Study

__all__ = ["Progress", "Study", "study"]


def study(
    name: str = DEFAULT,
    *,
    seed: int = 0,
    quick: bool = False,
    seconds: float | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Study:
    """Measure this machine, check every result, and return a verdict.

    ========== =========================================================================================================
    study      what it measures
    ========== =========================================================================================================
    gil        how a counting loop scales: variants × executions × numbers of workers
    counters   what each method of counting with several workers costs, and how many increments it loses
    io         what threads, processes and asyncio gain where Python waits for a network, and where it computes
    transports what it takes to get an array to a worker process and back
    journal    how fast many workers append to one file by each method, and what gets lost, torn or duplicated
    ========== =========================================================================================================

    Every cell runs once a round, in a new order each round, and its workers start together. A speedup is the median
    over rounds of the ratio to the baseline in the same round, with a bootstrap interval. Every result is compared with
    the exact one.

    Parameters
    ----------
    name : {"gil", "counters", "io", "transports", "journal"}, optional
        Which study.
    seed : int, optional
        Seed of the generated data and of the order of the cells.
    quick : bool, optional
        End after at most 20 seconds rather than 120, or of ``"journal"`` 60: more is undecided.
    seconds : float, optional
        Time after which to end instead.
    progress : callable, optional
        Called with a description of the current step, the seconds passed and the seconds expected. By default a
        notebook shows a bar.
    **options
        Options of the study; see Notes.

    Returns
    -------
    Study
        The verdict, every cell, and the environment. After Ctrl-C: what had been measured, marked as not complete.

    Raises
    ------
    ValueError
        If a name does not exist or a number is out of range.
    TypeError
        If the study does not have an option.
    OSError
        If `data` cannot be read, the system lacks shared memory for `size`, the server of io does not start, or
        `directory` cannot be written to.

    Notes
    -----
    Options that take several values take one value or a sequence.

    ========== ========== ==============================================================================================
    study      option     meaning
    ========== ========== ==============================================================================================
    gil        workloads  of "tally" (the default), "increment", "bincount", "histogram"
    .          variants   of "python", "numpy", "cython", "cython-gil", "numba", "numba-parallel"; default: all
    .          executions of "serial", "threads", "processes", "interpreters"; default: all that this Python has
    .          workers    numbers of workers; default: 1, 2, … all cores; on more than four cores, doublings
    .          size       increments in one run; default: what a variant does in about a twentieth of a second
    .          data       a file whose bytes the bincount workload counts instead of generated keys
    counters   variants   counting methods, as the table spells them; default: all
    .          workers    numbers of workers besides one; default: all cores, but at least two
    .          size       increments in one run; default: what a method does in a twentieth of a second
    io         executions of "serial", "threads", "processes", "asyncio"; default: all
    .          workers    numbers of workers that fetch; default: 2, 8 and 32
    .          size       pages in one run; default: what a cell fetches in 0.15 seconds
    .          delay      milliseconds that the server waits before each answer; default: 10
    transports variants   of "pickle", "pipe", "queue", "shared_memory", "shared array", "mapped file"; default: all
    .          size       bytes of the largest array; default: 1 million for each second, at most 256 MB
    journal    variants   methods of appending, as the table spells them; default: all
    .          workers    numbers of writers besides one; default: all cores, but at least four
    .          bytes      of a record; default: 16, 100, 1024, 8192 and 65536; in less than 40 seconds 100 and 8192
    .          size       records in one run; default: what one writer appends in a fiftieth of a second
    .          directory  where the files are written; default: the current directory
    .          sync       "none", or "record": after each record, wait until it is on the disk; default: "none"
    ========== ========== ==============================================================================================

    The call ends as soon as the claims of the study are decided, and takes all cores until then. On Linux it also
    measures what other programs take. Under the start methods spawn and forkserver, worker processes import the main
    module: a script calls this below ``if __name__ == "__main__":``.

    The intervals of speedups are percentile bootstrap intervals (Efron and Tibshirani, An Introduction to the
    Bootstrap, 1993, chapter 13). Those of claims are confidence sequences, which allow for a look after each round
    (Howard and Ramdas, Sequential estimation of quantiles, 2022; ``docs/measuring.md``).

    Examples
    --------
    >>> import parcount as pc
    >>> result = pc.study("gil", variants="cython", executions="threads", workers=1, size=1000, seconds=0.01)
    >>> result.exact
    True
    >>> result = pc.study("counters", variants="AtomicCounter", workers=2, size=1000, seconds=0.01)
    >>> [cell.lost for cell in result.cells if cell.execution == "serial"][0][:3]
    [0, 0, 0]
    """
    if name == SCALE:
        raise ValueError("the study of your own function is parcount.scale(function)")
    experiment = find_experiment(name)
    if seconds is None and quick:
        seconds = QUICK_SECONDS
    opened = experiment(seed=seed, seconds=seconds, **options)
    with shown_progress(progress) as shown:
        return run_study(opened, shown)
