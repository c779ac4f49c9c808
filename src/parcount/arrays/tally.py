"""`tally`: the counter loop itself."""

from __future__ import annotations

from operator import index

from parcount.engine.run import run
from parcount.engine.threads import choose_execution
from parcount.execution.base import Execution
from parcount.kernels import cython_loops
from parcount.kernels.job import Counts
from parcount.kernels.tally import TallyJob


def tally(n: int, *, seed: int = 0, bins: int = 256, threads: int | None = None, on: Execution | None = None) -> Counts:
    """Count `n` pseudo-random keys: the counter loop with nothing else in it.

    Key i is output i of splitmix64 [1]_ seeded with `seed`, modulo `bins`. It depends on i alone, so the counts are the
    same however the work is divided. The loop reads no memory but its own counters: it measures cores, not memory.

    Parameters
    ----------
    n : int
        Number of increments, less than 2**63.
    seed : int, optional
        From 0 to 2**64 - 1.
    bins : int, optional
        Number of counters, a power of two.
    threads : int, optional
        Number of threads. The default is as many as pay off, at most `get_num_threads`.
    on : Execution, optional
        The execution that runs the call, instead of `threads`.

    Returns
    -------
    ndarray of int64, shape (bins,)
        The counts; they sum to `n`.

    Raises
    ------
    TypeError
        If an argument is not an integer, or `on` is not an execution.
    ValueError
        If `n` or `seed` is out of range, `bins` is not a power of two, `threads` is less than 1, or both
        `threads` and `on` are given.

    Notes
    -----
    O(n) time and ``8 * bins * (workers + 1)`` bytes. The GIL is released throughout.

    References
    ----------
    .. [1] G. L. Steele, D. Lea and C. H. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.

    Examples
    --------
    >>> import parcount as pc
    >>> pc.tally(1000, bins=4)
    array([245, 265, 216, 274])
    """
    n, seed, bins = index(n), index(seed), index(bins)
    if not 0 <= n < 1 << 63:
        raise ValueError(f"n must be from 0 to 2**63 - 1, not {n}")
    if not 0 <= seed < 1 << 64:
        raise ValueError(f"seed must be from 0 to 2**64 - 1, not {seed}")
    if bins < 1 or bins & (bins - 1):
        raise ValueError(f"bins must be a power of two, not {bins}")
    counts: Counts = run(TallyJob(n, seed, bins), cython_loops.tally, choose_execution(n, threads, on))
    return counts
