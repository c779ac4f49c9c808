"""Limits on the thread pools of BLAS, OpenMP and Numba, each of which uses all cores by default.

Two workers whose matrix products run on two threads each are four threads on two cores, so each worker limits these
pools to its share of the cores: by threadpoolctl, if installed, for libraries that are loaded, and by environment
variables for those loaded later. The package itself sees the share as the number of available cores.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from contextlib import suppress

from parcount.system.cores import MAX_CORES

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
    """Limit the cores available to this process, and every pool whose environment variable the user has not set.

    Parameters
    ----------
    threads : int
        The limit.
    environment : mapping, optional
        The environment to change.
    """
    of_the_caller = environment.get(MAX_CORES)  # a worker's caller can be a worker, which has set the variables
    for variable in VARIABLES:
        if environment.get(variable) in (None, of_the_caller):
            environment[variable] = str(threads)
    environment[MAX_CORES] = str(threads)
    if numba := sys.modules.get("numba"):  # forked from a process that has loaded it
        numba.set_num_threads(min(threads, numba.get_num_threads()))
    with suppress(ImportError):
        from threadpoolctl import ThreadpoolController

        for pool in ThreadpoolController().lib_controllers:
            if (pool.num_threads or 0) > threads:
                pool.set_num_threads(threads)
