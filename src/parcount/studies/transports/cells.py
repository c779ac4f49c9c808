"""Which ways for which arrays a study of transports is to measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from parcount.execution.processes.serialisation import SHARED_COPY_MIN_BYTES
from parcount.execution.processes.transports import TRANSPORTS
from parcount.studies.core.analysis import NOT_SUPPORTED
from parcount.studies.core.cells import Cell
from parcount.studies.core.options import SECONDS, Options, check_numbers, names
from parcount.studies.transports.free_memory import FreeMemory
from parcount.studies.transports.units import KB, format_bytes, parse_bytes

THERE, BACK = "there", "back"

INTEGER = "an integer"
"""The workload of the smallest message, which goes there and back."""

SHARED, MAPPED = "shared array", "mapped file"
WAYS = (*TRANSPORTS, SHARED, MAPPED)
"""The transports, and what has no need of one: an array that lies where the worker can see it."""

ALONE = "work alone"
"""The variant without a way: the array is made and read where it is."""

LEAST = KB
STEP = 4

BYTES_A_SECOND = 5_000_000
"""Of the largest array, for each second that there is: a round then takes a fifth of the time or less."""

MEMORY_TAKES = 10
"""Arrays of a size that there are at once, at worst: those to send, what a queue copies at either end, and a rest."""

SHARED_TAKES = 3
"""Copies of it in shared memory: the shared array, what travels, and some room for others."""

DISK_TAKES = 2
"""Copies of it on the disk: one, and another's worth left to everybody else."""


@dataclass(frozen=True)
class Trip:
    """Where arrays of a size go.

    Parameters
    ----------
    direction : {"there", "back"}
        To the worker, or from it.
    size : int
        Bytes.

    Examples
    --------
    >>> str(Trip(THERE, 4096)), Trip.named("back, 16 MB").size
    ('there, 4 kB', 16777216)
    """

    direction: str
    size: int

    def __str__(self) -> str:
        return f"{self.direction}, {format_bytes(self.size)}"

    @classmethod
    def named(cls, workload: str) -> Trip | None:
        """That of a workload; None if it is of integers."""
        if workload == INTEGER:
            return None
        direction, size = workload.split(", ")
        return cls(direction, parse_bytes(size))


def baseline(cell: Cell) -> Cell:
    """The same work without any way: what all ways have in common."""
    return Cell(cell.workload, ALONE, "serial", 1)


def sizes(largest: int) -> list[int]:
    """1 kB, 4 kB, … up to the largest.

    Examples
    --------
    >>> sizes(20_000)
    [1024, 4096, 16384]
    """
    found = [LEAST]
    while found[-1] * STEP <= largest:
        found.append(found[-1] * STEP)
    return found


def options(
    *,
    variants: str | Sequence[str] | None = None,
    size: int | None = None,
    seed: int = 0,
    seconds: float = SECONDS,
) -> Options:
    """Check what was asked for, and fill in what was not.

    Raises
    ------
    ValueError
        If a way does not exist (the message lists those that do), or a number is out of range.
    """
    check_numbers(size, seed, seconds)
    if size is not None and size < LEAST:
        raise ValueError(f"the size must be at least {LEAST} here: bytes of the largest array, not {size}")
    largest = max(LEAST, min(int(seconds * BYTES_A_SECOND), 1 << 28)) if size is None else size
    workloads = [INTEGER, *(str(Trip(direction, one)) for direction in (THERE, BACK) for one in sizes(largest))]
    return Options(
        tuple(workloads),
        names("way", variants, WAYS, WAYS),
        ("serial", "processes"),
        (1,),
        largest,
        None,
        seed,
        seconds,
        question="transports",
    )


def matrix(asked: Options, room: FreeMemory) -> tuple[list[Cell], dict[Cell, tuple[str, str]]]:
    """All cells of a study, and those for which there is no room.

    Returns
    -------
    cells : list of Cell
        For each workload the work alone, then the ways.
    unmeasured : dict of Cell to (status, reason)
        Those to leave out.
    """
    cells: list[Cell] = []
    unmeasured: dict[Cell, tuple[str, str]] = {}
    for workload in asked.workloads:
        trip = Trip.named(workload)
        # What lies where the worker can see it need not come back, and an integer lies nowhere.
        ways = [way for way in asked.variants if way in TRANSPORTS or (trip is not None and trip.direction == THERE)]
        row = [Cell(workload, ALONE, "serial", 1), *(Cell(workload, way, "processes", 1) for way in ways)]
        cells += row
        if trip is not None:
            unmeasured |= {cell: (NOT_SUPPORTED, why) for cell in row if (why := _lacks(trip.size, cell.variant, room))}
    return cells, unmeasured


def _lacks(size: int, way: str, room: FreeMemory) -> str | None:
    """What there is too little of; None if there is enough, or nobody knows."""
    limits = [(room.memory, MEMORY_TAKES, "memory")]
    if way == SHARED or (way == "shared_memory" and size >= SHARED_COPY_MIN_BYTES):
        limits.append((room.shared, SHARED_TAKES, "shared memory (/dev/shm in a container: --shm-size)"))
    if way == MAPPED:
        limits.append((room.disk, DISK_TAKES, "disk for temporary files"))
    for free, takes, what in limits:
        if free is not None and size * takes > free:
            needed = format_bytes(size * takes)
            return f"{format_bytes(free)} are free of {what}, and {needed} are needed for {format_bytes(size)}"
    return None
