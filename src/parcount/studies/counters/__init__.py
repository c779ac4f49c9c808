"""What each way to count with several workers costs, and what it loses."""

from __future__ import annotations

from collections.abc import Sequence

from parcount.studies.core.driver import Progress, run_study
from parcount.studies.core.options import how_long
from parcount.studies.core.result import Study
from parcount.studies.counters.cells import matrix, options
from parcount.studies.counters.methods import METHODS
from parcount.studies.counters.runner import CellRunner
from parcount.studies.counters.verdict import build_verdict

__all__ = ["options", "study_counters"]

TARGET = 0.05
"""Seconds of one serial run: ten times as long as a thread keeps the GIL when others want it."""


def study_counters(
    variants: str | Sequence[str] | None = None,
    *,
    workers: int | Sequence[int] | None = None,
    size: int | None = None,
    seed: int = 0,
    quick: bool = False,
    seconds: float | None = None,
    progress: Progress | None = None,
) -> Study:
    """Measure what each way to count with several workers costs, and how many increments it loses.

    Every way runs in the calling thread alone, and with several workers that share its counter: threads, or processes
    where it can count for these; in rounds, each in a new order. After each run the counter is compared with the
    increments that were made. The ways that promise nothing (``counter += 1`` without a lock) show what they lose;
    any other that loses one fails the study.

    Parameters
    ----------
    variants : str or sequence of str, optional
        Ways to count, as the table spells them; all by default.
    workers : int or sequence of int, optional
        How many count at once, besides one; all available cores by default, but at least two.
    size : int, optional
        Increments in one run. By default as many as each way makes in a twentieth of a second by itself.
    seed : int, optional
        Of the order of the cells.
    quick : bool, optional
        Take 20 seconds rather than 60.
    seconds : float, optional
        How long to take instead.
    progress : callable, optional
        Told what is going on, the seconds passed and the seconds expected.

    Returns
    -------
    Study
        Its cells are of the workload "counter"; their variant is the way to count.

    Raises
    ------
    ValueError
        If a name does not exist or a number is out of range.

    Notes
    -----
    A cell's increments are shared out among its workers, so its time by its increments is what one costs on the wall's
    clock: half as much with two workers, if they do not hinder each other at all.

    Under spawn and forkserver, worker processes import the main module: a script calls this below
    ``if __name__ == "__main__":``.

    Examples
    --------
    >>> import parcount as pc
    >>> result = pc.study_counters("AtomicCounter", workers=2, size=1000, seconds=0.01)
    >>> [cell.lost for cell in result.cells if cell.execution == "serial"][0][:3]
    [0, 0, 0]
    """
    asked = options(variants=variants, workers=workers, size=size, seed=seed, seconds=how_long(seconds, quick))
    may_lose = {name for name, way in METHODS.items() if way.may_lose}
    return run_study(
        asked, matrix(asked), {}, CellRunner(TARGET, size), build_verdict, may_lose=may_lose, progress=progress
    )
