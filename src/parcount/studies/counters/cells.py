"""Which ways to count are to be measured, with how many workers."""

from __future__ import annotations

from collections.abc import Sequence

from parcount.studies.core.cells import Cell
from parcount.studies.core.options import Options, check_numbers, doublings, names, worker_counts
from parcount.studies.counters.methods import METHODS, PROCESSES, THREADS
from parcount.system.cores import available_cores

WORKLOAD = "counter"


def options(
    *,
    variants: str | Sequence[str] | None,
    workers: int | Sequence[int] | None,
    size: int | None,
    seed: int,
    seconds: float,
) -> Options:
    """Check what was asked for, and fill in what was not.

    Raises
    ------
    ValueError
        If a way to count does not exist (the message lists those that do), or a number is out of range.
    """
    check_numbers(size, seed, seconds)
    counts = doublings(max(2, available_cores())) if workers is None else worker_counts(workers)
    ways = names("way to count", variants, METHODS, tuple(METHODS))
    executions = ("serial", THREADS, PROCESSES)
    return Options((WORKLOAD,), ways, executions, counts, size, None, seed, seconds, question="counters")


def matrix(asked: Options) -> list[Cell]:
    """All cells: each way by itself, and with several workers wherever it can count for these."""
    cells = []
    for name in asked.variants:
        cells.append(Cell(WORKLOAD, name, "serial", 1))
        cells += [
            Cell(WORKLOAD, name, execution, workers)
            for execution in METHODS[name].executions
            for workers in asked.workers
            if workers > 1
        ]
    return cells
