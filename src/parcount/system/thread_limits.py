"""The pools of threads inside a worker: those of BLAS, OpenMP and Numba, which each take all cores for themselves.

Two workers whose matrix products run on two threads each are four threads on two cores. So a worker's inner pools are
held down to its share of the cores. Libraries that are loaded already are told by threadpoolctl, where that is
installed; those that come later read the environment. Both are the worker's own: in the caller nothing is changed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from contextlib import suppress

VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
"""What the libraries read when they are loaded."""


def threads_per_worker(cores: int, workers: int) -> int:
    """The threads that each of so many workers may have: at least one.

    Examples
    --------
    >>> threads_per_worker(8, 2), threads_per_worker(2, 4)
    (4, 1)
    """
    return max(1, cores // workers)


def limit_threads(threads: int, environment: MutableMapping[str, str] = os.environ) -> None:
    """Let no pool in this process have more threads than that, unless its variable has been set by the user.

    Parameters
    ----------
    threads : int
        The most for each pool.
    environment : mapping, optional
        Where libraries that come later look.
    """
    for variable in VARIABLES:
        environment.setdefault(variable, str(threads))
    if numba := sys.modules.get("numba"):  # forked from a process that has loaded it
        numba.set_num_threads(min(threads, numba.get_num_threads()))
    with suppress(ImportError):
        from threadpoolctl import ThreadpoolController

        for pool in ThreadpoolController().lib_controllers:
            if (pool.num_threads or 0) > threads:
                pool.set_num_threads(threads)
