"""Kernels that go wrong, for worker processes to import."""

from __future__ import annotations

import multiprocessing
import os
from typing import Any

from parcount.kernels import numpy_loops


def loses_one(counts: Any, start: int, stop: int, seed: int) -> None:
    """Count all keys but the last."""
    numpy_loops.tally(counts, start, max(start, stop - 1), seed)


def raises(counts: Any, start: int, stop: int, seed: int) -> None:
    """Count nothing."""
    raise ArithmeticError("on purpose")


def exits_in_a_worker(counts: Any, start: int, stop: int, seed: int) -> None:
    """Count, but in a worker process end it."""
    if multiprocessing.parent_process() is not None:
        os._exit(3)
    numpy_loops.tally(counts, start, stop, seed)
