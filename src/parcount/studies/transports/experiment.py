"""The study of transports: what it takes to get an array to a worker process and back."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, ClassVar

import numpy as np

from parcount.execution.processes.execution import Processes
from parcount.execution.processes.serialisation import SHARED_COPY_MIN_BYTES
from parcount.execution.processes.transports import TRANSPORTS
from parcount.execution.serial import Serial
from parcount.report.units import BYTES, format_bytes
from parcount.shm.blocks import shared_array
from parcount.studies.core.analysis import NOT_SUPPORTED
from parcount.studies.core.cells import Cell, Sample
from parcount.studies.core.experiment import Experiment
from parcount.studies.core.options import Options, names_option, size_option
from parcount.studies.transports import verdict
from parcount.studies.transports.payload import ITEM, Array, checksum, expected_checksum, make
from parcount.studies.transports.verdict import ALONE, BACK, INTEGER, MAPPED, METHODS, SHARED, THERE
from parcount.system.memory import FreeMemory, free_memory

LEAST = BYTES["kB"]
STEP = 4

BYTES_A_SECOND = 1_000_000
"""Size of the largest array for each second of the study. A round then takes a fifth of the time or less."""

COPIES = {"memory": 10, "shared": 3, "disk": 2}
"""Copies of an array that there must be room for: those that exist at once at worst, and a reserve for others."""

FIRST = 1
"""First element of arrays that are sent to the worker, and of the last one of each run that comes back."""


class TransportsExperiment(Experiment):
    """Directions × array sizes × methods, with one worker for each method; the baseline is the work alone.

    The first trip of each run is not timed: it may use memory that a virtual machine has returned to its host, and
    getting that back takes ten times as long as a trip.
    """

    name = "transports"
    summary = "what it takes to get an array to a worker process and back, with each transport"
    parameters = (
        names_option("variants", "method", METHODS),
        size_option(
            "size of the largest array; default: 1 million for each second, at most 256 MB", LEAST, "bytes", "BYTES"
        ),
    )
    fixed_options: ClassVar[Mapping[str, Any]] = {"executions": ("serial", "processes"), "workers": (1,)}
    unit_options: ClassVar[Mapping[str, Collection[str]]] = {}  # the size is part of the workloads' names
    target = 0.005
    startup_of_each_cell = False
    wrong = "WRONG ARRAYS"
    all_exact = "returned what was sent"
    claims = staticmethod(verdict.claims)
    conclude = staticmethod(verdict.conclude)

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        self._arrays: dict[str, Array] = {}
        self._received: Array | None = None

    @classmethod
    def check_options(cls, **given: Any) -> Options:
        """Check options and fill in defaults; the workloads follow from the size."""
        options = super().check_options(**given)
        largest = options.size or max(LEAST, min(int(options.seconds * BYTES_A_SECOND), 1 << 28))
        return replace(options, size=largest, workloads=tuple(cell.workload for cell in trips(largest)))

    def cells(self) -> tuple[list[Cell], dict[Cell, tuple[str, str]]]:
        """Return for each workload the work alone, then the methods, as `Experiment.cells`."""
        free = free_memory(tempfile.gettempdir())
        cells: list[Cell] = []
        assert self.options.size is not None
        for alone in trips(self.options.size):
            # Arrays that are sent by name do not come back, and an integer has no name.
            methods = [name for name in self.options.variants if name in TRANSPORTS or alone.direction == THERE]
            cells += [alone, *(replace(alone, variant=name, execution="processes") for name in methods)]
        return cells, {cell: (NOT_SUPPORTED, why) for cell in cells if (why := _lacks(cell, free))}

    def baseline(self, cell: Cell) -> Cell:
        """Return the cell of the same work without a transport."""
        return replace(cell, variant=ALONE, execution="serial", workers=1)

    def open(self, cells: Sequence[Cell], progress: Callable[[str], None]) -> None:
        """Make the arrays that are sent."""
        self._stack.callback(self._arrays.clear)
        for method, allocate in ((ALONE, np.empty), (SHARED, shared_array), (MAPPED, self._map_file)):
            sized = [cell for cell in cells if cell.array_bytes and method in (ALONE, cell.variant)]
            if not sized:
                continue
            progress(f"array for {method}")
            try:
                array = allocate(max(cell.array_bytes or 0 for cell in sized) // ITEM, np.dtype(np.uint64))
                self._arrays[method] = _fill(array)
            except (OSError, MemoryError) as error:
                self.failed |= dict.fromkeys(sized, (NOT_SUPPORTED, str(error)))

    def _map_file(self, count: int, dtype: np.dtype[np.uint64]) -> Array:
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="parcount", ignore_cleanup_errors=True))
        self._stack.callback(self._arrays.clear)  # before the folder: not every system deletes mapped files
        path = Path(folder) / "array"
        # Written rather than mapped and filled: a full disk is an error then, and not a bus error.
        with path.open("wb") as file:
            file.write(make((FIRST, count * ITEM)).data)
        return np.memmap(path, dtype, mode="r", shape=(count,))

    def pool_key(self, cell: Cell) -> Hashable:
        """Return the method: one worker serves all its cells."""
        return cell.variant

    def open_pool(self, cell: Cell) -> AbstractContextManager[Any]:
        """Start the worker of a method."""
        if cell.execution == "serial":
            return Serial()
        # Arrays that are sent by name may use any transport. They stay mapped until their worker is sent another.
        return Processes(1, transport=next((name for name in TRANSPORTS if name == cell.variant), "pipe"))

    def waits_by_design(self, cell: Cell) -> bool:  # noqa: ARG002 - all cells
        """Whether workers wait: they sleep and wake in each trip."""
        return True

    def initial_work(self, cell: Cell) -> int:
        """Return the work of one trip."""
        return cell.array_bytes or 1

    def calibrate(self, cell: Cell) -> None:
        """Choose how many trips take about the target time."""
        self.work[cell] = self.fitting_work(cell, unit=cell.array_bytes or 1, least=1)

    def measure(self, cell: Cell) -> Sample:
        """Make the trips of one run, one after the other; compare every checksum, and the last array as a whole."""
        trip = self._trip(cell)
        numbers = range(self.work[cell] // (cell.array_bytes or 1), 0, -1)
        trip(FIRST)
        began = perf_counter()
        answers = [trip(number) for number in numbers]
        seconds = perf_counter() - began
        wrong = sum(answer != _expected(cell, number) for answer, number in zip(answers, numbers, strict=True))
        if self._received is not None:
            assert cell.array_bytes is not None
            if not np.array_equal(self._received, self._arrays[ALONE][: cell.array_bytes // ITEM]):
                wrong = max(wrong, 1)
            self._received = None
        return Sample(seconds, wrong == 0, lost=wrong)

    def _trip(self, cell: Cell) -> Callable[[int], int]:
        """Return a function that makes one trip with a number, and returns its result."""
        pool = self.pool(cell)

        def call(function: Callable[[Any], Any], item: Any) -> Any:
            return function(item) if cell.execution == "serial" else pool.map(function, [item])[0]

        size = cell.array_bytes
        if size is None:
            return lambda number: int(call(abs, number))
        if cell.direction == THERE:
            array = self._arrays.get(cell.variant, self._arrays[ALONE])[: size // ITEM]
            return lambda _: int(call(checksum, array))

        def back(number: int) -> int:
            self._received = None  # else two of them would need memory
            self._received = call(make, (number, size))
            return checksum(self._received)

        return back


def trips(largest: int) -> list[Cell]:
    """Return the work alone of each workload: an integer, then arrays of 1 kB, 4 kB, ... in each direction.

    Examples
    --------
    >>> [cell.workload for cell in trips(20_000)][:4]
    ['an integer', 'there, 1 kB', 'there, 4 kB', 'there, 16 kB']
    """
    sizes = [LEAST]
    while sizes[-1] * STEP <= largest:
        sizes.append(sizes[-1] * STEP)
    alone = partial(Cell, variant=ALONE, execution="serial", workers=1)
    return [
        alone(INTEGER, unit="trip"),
        *(
            alone(f"{direction}, {format_bytes(size)}", unit="byte", direction=direction, array_bytes=size)
            for direction in (THERE, BACK)
            for size in sizes
        ),
    ]


def _fill(array: Array) -> Array:
    """Fill an array with the numbers from `FIRST` on, unless it is read-only and has them already."""
    if array.flags.writeable:
        array[:] = make((FIRST, array.nbytes))
    return array


def _expected(cell: Cell, number: int) -> int:
    """Return the right result of a trip with a number."""
    if cell.array_bytes is None:
        return number
    return expected_checksum(FIRST if cell.direction == THERE else number, cell.array_bytes)


def _lacks(cell: Cell, free: FreeMemory) -> str | None:
    """Return what there is too little of; None if there is enough, or it is not known."""
    size = cell.array_bytes or 0
    needed = {"memory": "memory"}
    if cell.variant == SHARED or (cell.variant == "shared_memory" and size >= SHARED_COPY_MIN_BYTES):
        needed["shared"] = "shared memory (/dev/shm in a container: --shm-size)"
    if cell.variant == MAPPED:
        needed["disk"] = "disk for temporary files"
    for kind, what in needed.items():
        limit, total = getattr(free, kind), size * COPIES[kind]
        if limit is not None and total > limit:
            enough = f"{format_bytes(total)} are needed for {format_bytes(size)}"
            return f"{format_bytes(limit)} are free of {what}, and {enough}"
    return None
