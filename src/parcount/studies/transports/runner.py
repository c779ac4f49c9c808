"""Runs the cells of a study of transports: sends arrays to workers, and has them send some back."""

from __future__ import annotations

import errno
import math
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any

import numpy as np

from parcount.execution.processes.execution import Processes
from parcount.execution.processes.transports import TRANSPORTS
from parcount.shm.blocks import shared_array
from parcount.studies.core.analysis import NOT_SUPPORTED
from parcount.studies.core.cells import Cell, Sample
from parcount.studies.core.load import Watch
from parcount.studies.core.runner import Outcome, Runner
from parcount.studies.transports.cells import ALONE, MAPPED, SHARED, THERE, Trip
from parcount.studies.transports.payload import ITEM, Array, checksum, make, right
from parcount.system.cores import available_cores

FIRST = 1
"""What arrays that are sent there begin with, and the last one of each run that comes back."""

WINDOW = 0.2
"""Seconds over which it is seen what other programs take: the system counts that in hundredths of a second."""

LONG = 0.1
"""Seconds of a first trip after which a second need not tell that one fills a run."""

Call = Callable[[Callable[[Any], Any], Any], Any]


class CellRunner(Runner):
    """Prepares cells, runs them, and cleans up: a context manager.

    Parameters
    ----------
    target : float
        Seconds that one run should take, at least: of as many trips, one after the other, as that needs.

    Attributes
    ----------
    work, startup, failed
        As `Runner` has them; the work is in bytes, that of integers in trips.
    """

    def __init__(self, target: float) -> None:
        super().__init__()
        self._target = target
        self._trips: dict[Cell, int] = {}
        self._pools: dict[str, Processes] = {}
        self._arrays: dict[str, Array] = {}
        self._watch = Watch()
        self._since = perf_counter()
        self._taken = 0.0
        self._came: Array | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._arrays.clear()  # a file that is mapped cannot be deleted everywhere
        super().__exit__(kind, error, trace)

    def pids(self) -> list[int]:
        """The ids of this process and of all workers'."""
        return [os.getpid(), *(pid for pool in self._pools.values() for pid in pool.pids())]

    def prepare(self, cells: Sequence[Cell], progress: Callable[[str], None]) -> None:
        """Make the arrays, start the workers, and see of every cell what a trip takes."""
        for way, place in ((ALONE, _anywhere), (SHARED, shared_array), (MAPPED, self._in_a_file)):
            progress(f"array for {way}")
            lie = [cell for cell in cells if _size(cell) and way in (ALONE, cell.variant)]
            if not lie:
                continue
            try:
                self._arrays[way] = _filled(place(max(map(_size, lie)) // ITEM, np.dtype(np.uint64)))
            except (OSError, MemoryError) as error:
                self.failed |= dict.fromkeys(lie, (NOT_SUPPORTED, str(error)))
        for cell in cells:
            progress(f"{cell.workload}, by {cell.variant}")
            self._attempt(cell, self._warm)

    def _in_a_file(self, count: int, dtype: np.dtype[np.uint64]) -> Array:
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="parcount", ignore_cleanup_errors=True))
        path = Path(folder) / "array"
        # Written rather than mapped and filled: a full disk is an error then, and no bus error.
        with path.open("wb") as file:
            file.write(make((FIRST, count * ITEM)).data)
        return np.memmap(path, dtype, mode="r", shape=(count,))

    def _attempt(self, cell: Cell, action: Callable[[Cell], Outcome]) -> Outcome | None:
        """As everywhere; but where there is too little room for an array, nothing has failed."""

        def attempted(cell: Cell) -> Outcome | None:
            try:
                return action(cell)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                self.failed[cell] = NOT_SUPPORTED, str(error)
                return None

        return super()._attempt(cell, attempted)

    def _warm(self, cell: Cell) -> None:
        """Start the way's worker, if it has none, and find how many trips fill the time of a run."""
        if cell.execution == "processes" and cell.variant not in self._pools:
            self._start(cell)
        self._trips[cell] = 1
        before = perf_counter()
        self._goes(cell)(FIRST)
        self._came = None
        if perf_counter() - before < LONG:
            seconds, _ = self._cross(cell)
            while seconds < self._target / 2:
                self._trips[cell] = min(8 * self._trips[cell], math.ceil(self._trips[cell] * self._target / seconds))
                seconds, _ = self._cross(cell)
        self.work[cell] = self._trips[cell] * (_size(cell) or 1)

    def _start(self, cell: Cell) -> None:
        """See how much later the first answer of a way's new worker comes than the second."""
        before = perf_counter()
        # What travels by name may take any. But it stays mapped only until its worker is sent something else.
        transport = cell.variant if cell.variant in TRANSPORTS else "pipe"
        pool = self._pools[cell.variant] = self._stack.enter_context(Processes(1, transport=transport))
        pool.map(abs, [FIRST])
        first = perf_counter()
        pool.map(abs, [FIRST])
        self.startup[cell] = max(0.0, first - before - (perf_counter() - first))

    def _run(self, cell: Cell) -> Sample:
        seconds, wrong = self._cross(cell)
        return Sample(seconds, wrong == 0, self._others(), wrong)

    def _others(self) -> float:
        """The share of the cores that other programs had lately.

        What workers wait for a core says nothing here: they sleep and wake in each trip, which takes its time.
        """
        now = perf_counter()
        if now - self._since >= WINDOW:
            self._taken = min(1.0, self._watch.taken(self.pids()) / available_cores())
            self._watch, self._since = Watch(), perf_counter()
        return self._taken

    def _cross(self, cell: Cell) -> tuple[float, int]:
        """The seconds that a cell's trips take, and how many of them bring something wrong.

        The first is not timed. What memory has lain free for seconds a virtual machine may have given back to its
        host, and to get it again took ten times as long as the trip; it would be the cell that comes first in a round
        that pays for all.
        """
        numbers, trip = range(self._trips[cell], 0, -1), Trip.named(cell.workload)
        go = self._goes(cell)
        go(FIRST)
        began = perf_counter()
        answers = [go(number) for number in numbers]
        seconds = perf_counter() - began
        wrong = sum(answer != _right(trip, number) for answer, number in zip(answers, numbers, strict=True))
        if self._came is not None:
            assert trip is not None
            if not np.array_equal(self._came, self._arrays[ALONE][: trip.size // ITEM]):
                wrong = max(wrong, 1)
            self._came = None
        return seconds, wrong

    def _goes(self, cell: Cell) -> Callable[[int], int]:
        """What makes one trip of a cell, with a number, and gives what it brings."""
        trip, call = Trip.named(cell.workload), self._call(cell)
        if trip is None:
            return lambda number: int(call(abs, number))
        if trip.direction == THERE:
            array = self._arrays.get(cell.variant, self._arrays[ALONE])[: trip.size // ITEM]
            return lambda _: int(call(checksum, array))
        size = trip.size

        def back(number: int) -> int:
            self._came = None  # else two of them would need room
            self._came = call(make, (number, size))
            return checksum(self._came)

        return back

    def _call(self, cell: Cell) -> Call:
        """What applies a function to one thing: here, or in the worker."""
        if cell.execution == "serial":
            return lambda function, item: function(item)
        pool = self._pools[cell.variant]
        return lambda function, item: pool.map(function, [item])[0]


def _anywhere(count: int, dtype: np.dtype[np.uint64]) -> Array:
    return np.empty(count, dtype)


def _filled(array: Array) -> Array:
    """With the numbers from `FIRST` on, if they are not in it already."""
    if array.flags.writeable:
        array[:] = make((FIRST, array.nbytes))
    return array


def _right(trip: Trip | None, number: int) -> int:
    """What a trip with that number must bring."""
    if trip is None:
        return number
    return right(FIRST if trip.direction == THERE else number, trip.size)


def _size(cell: Cell) -> int:
    """Bytes of its arrays; none of an integer."""
    trip = Trip.named(cell.workload)
    return 0 if trip is None else trip.size
