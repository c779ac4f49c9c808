"""Limits on the thread pools of BLAS, OpenMP and Numba, each of which uses all cores by default.

Two workers whose matrix products run on two threads each are four threads on two cores, so each worker limits these
pools to its share of the cores: by threadpoolctl, if installed, for libraries that are loaded, and by environment
variables for those loaded later.
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
"""Environment variables that the libraries read when they are loaded."""


def threads_per_worker(cores: int, workers: int) -> int:
    """The number of threads for each of `workers` workers, at least one.

    Examples
    --------
    >>> threads_per_worker(8, 2), threads_per_worker(2, 4)
    (4, 1)
    """
    return max(1, cores // workers)


def limit_threads(threads: int, environment: MutableMapping[str, str] = os.environ) -> None:
    """Limit every pool of this process, except those whose environment variable the user has set.

    Parameters
    ----------
    threads : int
        The limit for each pool.
    environment : mapping, optional
        The environment to change.
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
