"""Which cells a study is to measure, from what its caller asked for."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parcount.execution.cores import available_cores
from parcount.execution.interpreters import missing, refusal
from parcount.kernels import VARIANTS, WORKLOADS
from parcount.studies.analysis import NOT_INSTALLED, NOT_SUPPORTED
from parcount.studies.cells import Cell
from parcount.studies.questions import DEFAULT

EXECUTIONS = ("serial", "threads", "processes", "interpreters")

SECONDS = 60.0
QUICK_SECONDS = 20.0


def how_long(seconds: float | None, quick: bool) -> float:
    """How long to measure: as asked for, or the usual time, or that of a quick study."""
    if seconds is not None:
        return seconds
    return QUICK_SECONDS if quick else SECONDS


@dataclass(frozen=True)
class Options:
    """What a study's caller asked for, checked.

    Attributes
    ----------
    workloads, variants, executions : tuple of str
        Names; never empty.
    workers : tuple of int
        Rising.
    size : int or None
        Increments in one run of every cell; None lets each variant have what it can do in a tenth of a second. Of
        transports: bytes of the largest array.
    data : str or None
        The file whose bytes the bincount workload counts.
    seed : int
        Of the generated data, and of the order of the cells.
    seconds : float
        How long to measure.
    question : str
        What the study is about, by the name that `parcount.studies.questions` has for it.
    delay : float or None
        Milliseconds that a server waits before each answer, where there is one.
    """

    workloads: tuple[str, ...]
    variants: tuple[str, ...]
    executions: tuple[str, ...]
    workers: tuple[int, ...]
    size: int | None
    data: str | None
    seed: int
    seconds: float
    question: str = DEFAULT
    delay: float | None = None

    def asdict(self) -> dict[str, Any]:
        """As the result file stores them."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


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


def check_numbers(size: int | None, seed: int, seconds: float) -> None:
    """Refuse numbers that no study can have.

    Raises
    ------
    ValueError
        If one is out of range.
    """
    if size is not None and size < 0:
        raise ValueError(f"the size must be at least 0, not {size}")
    if not 0 <= seed < 1 << 63:
        raise ValueError(f"the seed must be from 0 to 2**63 - 1, not {seed}")
    if not seconds > 0:
        raise ValueError(f"the time to measure must be more than 0 seconds, not {seconds}")


def doublings(cores: int) -> tuple[int, ...]:
    """1, 2, 4 … and all the cores; up to four cores, every number.

    Examples
    --------
    >>> doublings(2), doublings(3), doublings(12)
    ((1, 2), (1, 2, 3), (1, 2, 4, 8, 12))
    """
    if cores <= 4:
        return tuple(range(1, cores + 1))
    return (*(1 << power for power in range((cores - 1).bit_length())), cores)


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


def names(
    what: str, asked: str | Sequence[str] | None, existing: Collection[str], default: tuple[str, ...]
) -> tuple[str, ...]:
    """The names that were asked for, in the order of those that exist.

    Raises
    ------
    ValueError
        If one does not exist, or none was named.
    """
    if asked is None:
        return default
    asked = (asked,) if isinstance(asked, str) else asked
    for name in asked:
        if name not in existing:
            raise ValueError(f"no {what} {name!r}; there are {', '.join(existing)}")
    if not asked:
        raise ValueError(f"no {what} named; there are {', '.join(existing)}")
    return tuple(name for name in existing if name in asked)


def worker_counts(asked: int | Sequence[int] | None) -> tuple[int, ...]:
    """The numbers of workers that were asked for, rising.

    Raises
    ------
    ValueError
        If one is less than one, or none was named.
    """
    if asked is None:
        return doublings(available_cores())
    asked = (asked,) if isinstance(asked, int) else asked
    for workers in asked:
        if workers < 1:
            raise ValueError(f"workers must be at least 1, not {workers}")
    if not asked:
        raise ValueError("no number of workers named")
    return tuple(sorted(set(asked)))
