"""Worker counts and worker functions that the benchmarks share."""

from collections.abc import Callable

import numpy as np

import parcount as pc

WORKERS = sorted({*(1 << power for power in range(pc.available_cores().bit_length())), pc.available_cores()})
"""1, 2, 4, … and all available cores."""

EXECUTIONS = [("serial", 1), *((name, workers) for name in ("threads", "processes") for workers in WORKERS)]

Pool = Callable[[str, int], pc.Execution]
"""Returns running workers by the name of the execution and their number."""


def nothing(_: object) -> None:
    """Do nothing."""


def read(a: np.ndarray) -> int:
    """Read every element, which makes mapped pages resident."""
    return int(a.sum())


def make(nbytes: int) -> np.ndarray:
    """Make an array, to be sent back."""
    return np.ones(nbytes // 8, np.int64)
