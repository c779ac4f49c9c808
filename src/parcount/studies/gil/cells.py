"""Which cells a study is to measure, from what its caller asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from parcount.execution.interpreters import missing, refusal
from parcount.kernels import VARIANTS, WORKLOADS
from parcount.studies.core.analysis import NOT_INSTALLED, NOT_SUPPORTED
from parcount.studies.core.cells import Cell
from parcount.studies.core.options import SECONDS, Options, check_numbers, names, worker_counts

EXECUTIONS = ("serial", "threads", "processes", "interpreters")


def options(
    *,
    workloads: Sequence[str] | None = None,
    variants: Sequence[str] | None = None,
    executions: Sequence[str] | None = None,
    workers: Sequence[int] | None = None,
    size: int | None = None,
    data: str | os.PathLike[str] | None = None,
    seed: int = 0,
    seconds: float = SECONDS,
) -> Options:
    """Check what was asked for, and fill in what was not.

    Raises
    ------
    ValueError
        If a name does not exist (the message lists those that do), a number is out of range, or `data` is given and
        the bincount workload, which counts it, is not to run.
    """
    if data is not None:
        if workloads is None:
            workloads = ("bincount",)
        elif "bincount" not in workloads:
            raise ValueError(
                "only the bincount workload counts a file's bytes: leave the workload out, or name bincount"
            )
    check_numbers(size, seed, seconds)
    return Options(
        names("workload", workloads, WORKLOADS, default=("tally",)),
        names("variant", variants, VARIANTS, default=tuple(VARIANTS)),
        names("execution", executions, EXECUTIONS, default=EXECUTIONS[:-1] if missing() else EXECUTIONS),
        worker_counts(workers),
        size,
        None if data is None else os.fspath(data),
        seed,
        seconds,
    )


def matrix(asked: Options) -> tuple[list[Cell], dict[Cell, tuple[str, str]]]:
    """All cells of a study, and those that cannot run here.

    A variant's serial cell is always there: the others are measured against it. A fixed order: that of the result.

    Returns
    -------
    cells : list of Cell
        In the order of workloads, variants, executions, workers.
    unmeasured : dict of Cell to (status, reason)
        Those to leave out.
    """
    cells: list[Cell] = []
    unmeasured: dict[Cell, tuple[str, str]] = {}
    absent = {name: VARIANTS[name].missing() for name in asked.variants}
    for workload in asked.workloads:
        kernels = WORKLOADS[workload].kernels
        for variant in asked.variants:
            if variant not in kernels:
                continue
            row = [Cell(workload, variant, "serial", 1)]
            row += [
                Cell(workload, variant, execution, workers)
                for execution in asked.executions
                if execution != "serial"
                for workers in asked.workers
            ]
            cells += row
            for cell in row:
                if reason := absent[variant]:
                    unmeasured[cell] = NOT_INSTALLED, reason
                elif (
                    kernels[variant].own_threads
                    and cell.execution == "threads"
                    and (most := _numba_threads()) < cell.workers
                ):
                    unmeasured[cell] = NOT_SUPPORTED, f"Numba has {most} threads here (NUMBA_NUM_THREADS)"
                elif cell.execution == "interpreters" and (reason := missing() or refusal(kernels[variant].module)):
                    unmeasured[cell] = NOT_SUPPORTED, reason
    return cells, unmeasured


def file_bytes(path: str) -> NDArray[np.uint8]:
    """The bytes of a file, mapped, not read.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    with open(path, "rb") as file:  # noqa: PTH123 - the path may be any that the system takes
        if os.fstat(file.fileno()).st_size == 0:
            return np.zeros(0, np.uint8)
        return np.memmap(file, np.uint8, mode="r")


def _numba_threads() -> int:
    from parcount.kernels.numba_loops import most_threads

    return most_threads()
