"""The jobs that can be planned: a workload with its number of bins and the dtype of its keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parcount.arrays.bincount import bincount
from parcount.arrays.tally import tally
from parcount.execution.base import Execution
from parcount.kernels import cython_loops
from parcount.kernels.bincount import bincount_job
from parcount.kernels.job import Job, Kernel
from parcount.kernels.tally import TallyJob
from parcount.shm.blocks import shared_array
from parcount.studies.core.options import names

WORKLOADS = ("bincount", "tally")
DTYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
BINS = {"bincount": 1024, "tally": 256}
SIZE = 100_000_000

MAX_BINS = 1 << 32

MAX_SIZE = 1 << 62


@dataclass(frozen=True)
class PlannedJob:
    """A job to predict: the counting function, the dtype of its keys, and the numbers of bins and keys.

    The dtype is None for `tally`, which generates its keys.
    """

    workload: str
    dtype: str | None
    bins: int
    size: int

    def __str__(self) -> str:
        keys = "keys" if self.dtype is None else f"{self.dtype} keys"
        return f"{self.workload} of {self.size:_} {keys} in {self.bins:_} bins".replace("_", " ")

    @property
    def key_bytes(self) -> int:
        """Bytes that are read for one key."""
        return 0 if self.dtype is None else np.dtype(self.dtype).itemsize

    def keys(self, size: int, *, shared: bool = False) -> NDArray[Any] | int:
        """Keys that are uniform over the bins; for `tally` their number."""
        if self.dtype is None:
            return size
        keys = shared_array(size, self.dtype) if shared else np.empty(size, self.dtype)
        rng = np.random.default_rng(0)
        for start in range(0, size, 1 << 22):  # limits the size of the generator's array
            part = keys[start : start + (1 << 22)]
            part[...] = rng.integers(0, self.bins, len(part), self.dtype)
        return keys

    def count(
        self,
        keys: NDArray[Any] | int,
        *,
        bins: int | None = None,
        threads: int | None = None,
        on: Execution | None = None,
    ) -> NDArray[Any]:
        """Count keys by the public function."""
        bins = self.bins if bins is None else bins
        if isinstance(keys, int):
            return tally(keys, bins=bins, threads=threads, on=on)
        return bincount(keys, minlength=bins, threads=threads, on=on)

    def minimal_job(self) -> tuple[Kernel, Job]:
        """A job of one key and one bin, whose cost is the overhead of a job."""
        if self.dtype is None:
            return cython_loops.tally, TallyJob(1, 0, 1)
        return cython_loops.bincount, bincount_job(np.zeros(1, self.dtype), length=1)


def make_job(
    workload: str = "bincount", dtype: str | None = None, bins: int | None = None, size: int = SIZE
) -> PlannedJob:
    """Check the arguments and fill in defaults.

    Raises
    ------
    ValueError
        If a name does not exist, a number is out of range, the dtype cannot hold the largest key, or `tally`, which
        generates its keys, is given a dtype.
    """
    (workload,) = names("workload", workload, WORKLOADS)
    if bins is None:
        bins = BINS[workload] if dtype not in DTYPES else min(BINS[workload], int(np.iinfo(dtype).max) + 1)
    if not 1 <= bins <= MAX_BINS:
        raise ValueError(f"bins must be from 1 to 2**32, not {bins}")
    if not 1 <= size <= MAX_SIZE:
        raise ValueError(f"the size must be at least 1 and at most 2**62, not {size}")
    if workload == "tally":
        if dtype is not None:
            raise ValueError("tally has no dtype: it generates its keys")
        if bins & (bins - 1):
            raise ValueError(f"bins of tally must be a power of two, not {bins}")
        return PlannedJob(workload, None, bins, size)
    (dtype,) = names("dtype", "int64" if dtype is None else dtype, DTYPES)
    if bins - 1 > np.iinfo(dtype).max:
        raise ValueError(f"{dtype} keys are at most {np.iinfo(dtype).max}, too small for {bins} bins")
    return PlannedJob(workload, dtype, bins, size)
