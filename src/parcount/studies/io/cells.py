"""Which cells a study of I/O is to measure."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from parcount.studies.core.analysis import NOT_INSTALLED, NOT_SUPPORTED
from parcount.studies.core.cells import Cell
from parcount.studies.core.options import SECONDS, Options, check_numbers, names, worker_counts
from parcount.system.cores import available_cores

FETCH, CONTROL = "fetch", "tally"
"""The workload that waits, and the one that computes."""

CLIENT, LOOP = "httpx", "python"
"""Their variants: the library that fetches, and the loop in plain Python, which holds the GIL."""

ASYNCIO = "asyncio"
EXECUTIONS = ("serial", "threads", "processes", ASYNCIO)

WORKERS = (2, 8, 32)
"""Who waits needs no core: it pays to have more than there are."""

DELAY = 10.0
"""Milliseconds: as long as another computer near by takes to look something up."""


def options(
    *,
    executions: str | Sequence[str] | None = None,
    workers: int | Sequence[int] | None = None,
    size: int | None = None,
    delay: float | None = None,
    seed: int = 0,
    seconds: float = SECONDS,
) -> Options:
    """Check what was asked for, and fill in what was not.

    Raises
    ------
    ValueError
        If an execution does not exist (the message lists those that do), or a number is out of range.
    """
    check_numbers(size, seed, seconds)
    if size == 0:
        raise ValueError("the size must be at least 1 here: with no page to fetch there is nothing to wait for")
    delay = DELAY if delay is None else delay
    if not 0 <= delay <= 60_000:
        raise ValueError(f"the delay must be from 0 to 60000 milliseconds, not {delay}")
    return Options(
        (FETCH, CONTROL),
        (CLIENT, LOOP),
        names("execution", executions, EXECUTIONS, EXECUTIONS),
        WORKERS if workers is None else worker_counts(workers),
        size,
        None,
        seed,
        seconds,
        question="io",
        delay=delay,
    )


def matrix(asked: Options) -> tuple[list[Cell], dict[Cell, tuple[str, str]]]:
    """All cells of a study, and those that cannot run here.

    The control runs with as many workers as there are cores, but at least two: more could buy nothing.

    Returns
    -------
    cells : list of Cell
        Those that fetch, then the control.
    unmeasured : dict of Cell to (status, reason)
        Those to leave out.
    """
    others = [execution for execution in asked.executions if execution != "serial"]
    fetching = [
        Cell(FETCH, CLIENT, "serial", 1),
        *(Cell(FETCH, CLIENT, execution, workers) for execution in others for workers in asked.workers),
    ]
    control = [
        Cell(CONTROL, LOOP, "serial", 1),
        *(
            Cell(CONTROL, LOOP, execution, 1 if execution == ASYNCIO else max(2, available_cores()))
            for execution in others
        ),
    ]
    unmeasured = {
        cell: (NOT_SUPPORTED, "tasks take turns where they wait, and this loop never does: they would be one worker")
        for cell in control
        if cell.execution == ASYNCIO
    }
    try:
        import_module(CLIENT)
    except ImportError as error:
        unmeasured |= dict.fromkeys(fetching, (NOT_INSTALLED, str(error)))
    return [*fetching, *control], unmeasured
