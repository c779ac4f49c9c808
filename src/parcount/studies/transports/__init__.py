"""What it takes to get an array to a worker process and back, by each transport."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence

from parcount.studies.core.driver import Progress, run_study
from parcount.studies.core.options import how_long
from parcount.studies.core.result import Study
from parcount.studies.transports.cells import baseline, matrix, options
from parcount.studies.transports.free_memory import free_memory
from parcount.studies.transports.runner import CellRunner
from parcount.studies.transports.verdict import build_verdict, undecided_cells

__all__ = ["options", "study_transports"]

TARGET = 1 / 12_000
"""Of the time there is, the share that the trips of one run should take, if a single one does not."""

LEAST_TARGET = 0.001
"""Seconds that they should take at least."""


def study_transports(
    variants: str | Sequence[str] | None = None,
    *,
    size: int | None = None,
    seed: int = 0,
    quick: bool = False,
    seconds: float | None = None,
    progress: Progress | None = None,
) -> Study:
    """Measure what it takes to get an array to a worker process and back, by each transport.

    Arrays of 1 kB, 4 kB, 16 kB and so on go to a worker that reads all of one and answers with a checksum ("there"), or
    are made by a worker, sent here and read here ("back"): by each transport of `Processes`, and there also as an
    array in shared memory and as one in a memory-mapped file, of which only the name travels. An integer goes there and
    back as well. In the same rounds the same work is done without a worker. Every checksum, and of each run that
    brings arrays back the last one as a whole, is compared with what it must be.

    Parameters
    ----------
    variants : str or sequence of str, optional
        Of "pickle", "pipe", "queue", "shared_memory", "shared array", "mapped file"; all by default.
    size : int, optional
        Bytes of the largest array. By default 5 million for each second that there is, but at most 256 MB. The sizes
        are those powers of four that are not larger, from 1 kB, which is 1024 bytes.
    seed : int, optional
        Of the order of the cells.
    quick : bool, optional
        Take 20 seconds rather than 60: smaller arrays, wider intervals.
    seconds : float, optional
        How long to take instead.
    progress : callable, optional
        Told what is going on, the seconds passed and the seconds expected.

    Returns
    -------
    Study
        Its cells are of the workloads "an integer", "there, 1 kB" and so on; their variant is the way, and their work
        is in bytes. A speedup is against the work alone: what share of the time is none of the way's.

    Raises
    ------
    ValueError
        If a name does not exist or a number is out of range.

    Notes
    -----
    Arrays for which there is not the memory, the shared memory or the disk are left out, and the result says why. The
    largest take up to 10 times their size.

    There is one worker for each way, and each run begins with a trip that is not timed. So an array in shared memory or
    in a file is mapped already, which the first time costs a page fault for every page; and copies lie in memory that
    has been used just before. Where a virtual machine gives to its host what has lain free for seconds, a single large
    array takes many times as long.

    Under spawn and forkserver, worker processes import the main module: a script calls this below
    ``if __name__ == "__main__":``.

    Examples
    --------
    >>> import parcount as pc
    >>> result = pc.study_transports("pipe", size=4096, seconds=0.01)
    >>> result.exact
    True
    """
    asked = options(variants=variants, size=size, seed=seed, seconds=how_long(seconds, quick))
    cells, unmeasured = matrix(asked, free_memory(tempfile.gettempdir()))
    laboratory = CellRunner(max(asked.seconds * TARGET, LEAST_TARGET))
    return run_study(
        asked,
        cells,
        unmeasured,
        laboratory,
        build_verdict,
        undecided_cells=undecided_cells,
        baseline=baseline,
        progress=progress,
    )
