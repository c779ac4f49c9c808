"""What the benchmarks share: how many workers there can be, and what is sent to them."""

from collections.abc import Callable

import numpy as np

import parcount as pc

WORKERS = sorted({*(1 << power for power in range(pc.available_cores().bit_length())), pc.available_cores()})
"""1, 2, 4, … and all available cores."""

EXECUTIONS = [("serial", 1), *((name, workers) for name in ("threads", "processes") for workers in WORKERS)]

Pool = Callable[[str, int], pc.Execution]
"""Warm workers, by the execution's name and their number."""


def nothing(_: object) -> None:
    """As little as a function can do."""


def read(a: np.ndarray) -> int:
    """Read every cell: pages that were only mapped are then really there."""
    return int(a.sum())


def make(nbytes: int) -> np.ndarray:
    """An array, for the way back."""
    return np.ones(nbytes // 8, np.int64)
