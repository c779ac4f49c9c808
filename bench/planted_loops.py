"""Loops that are not what they are called, for `study_acceptance.py`: worker processes import them from here."""

from __future__ import annotations

from threading import Lock
from typing import Any

from parcount.kernels import WORKLOADS

KERNELS = WORKLOADS["tally"].kernels
released, held = KERNELS["cython"], KERNELS["cython-gil"]

_lock = Lock()


def holds_the_gil(counts: Any, start: int, stop: int, seed: int) -> None:
    """Count with the GIL held."""
    held(counts, start, stop, seed)


def half_serial(counts: Any, start: int, stop: int, seed: int) -> None:
    """Count one half in one thread at a time, the other in all: by Amdahl's law 4/3 as fast on two threads."""
    middle = (start + stop) // 2
    with _lock:
        released(counts, start, middle, seed)
    released(counts, middle, stop, seed)
