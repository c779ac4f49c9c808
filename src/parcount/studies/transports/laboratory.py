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

from parcount.execution.cores import available_cores
from parcount.execution.processes import Processes
from parcount.execution.shared import shared_array
from parcount.execution.transports import TRANSPORTS
from parcount.studies.analysis import NOT_SUPPORTED
from parcount.studies.cells import Cell, Sample
from parcount.studies.equipment import Equipment, Outcome
from parcount.studies.load import Watch
from parcount.studies.transports.plan import ALONE, MAPPED, SHARED, THERE, Trip
from parcount.studies.transports.work import ITEM, Array, checksum, make, right

FIRST = 1
"""What arrays that are sent there begin with, and the last one of each run that comes back."""

WINDOW = 0.2
"""Seconds over which it is seen what other programs take: the system counts that in hundredths of a second."""

LONG = 0.1
"""Seconds of a trip beside which what only the first one takes is little: one has warmed its cell."""

Call = Callable[[Callable[[Any], Any], Any], Any]


class Laboratory(Equipment):
    """Prepares cells, runs them, and cleans up: a context manager.

    Parameters
    ----------
    target : float
        Seconds that one run should take, at least: of as many trips, one after the other, as that needs.

    Attributes
    ----------
    work, startup, failed
        As `Equipment` has them; the work is in bytes, that of integers in trips.
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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._arrays.clear()  # a file that is mapped cannot be deleted everywhere
        super().__exit__(kind, error, trace)

    def pids(self) -> list[int]:
        """The ids of this process and of all workers'."""
        return [os.getpid(), *(pid for pool in self._pools.values() for pid in pool.pids())]

    def prepare(self, cells: Sequence[Cell], progress: Callable[[str], None]) -> None:
        """Make the arrays, start the workers, and run every cell: once to warm it, once to see what a trip takes."""
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
        """See how much later a new worker's first answer comes than the second, and what one trip takes."""
        self._trips[cell] = 1
        new = cell.execution == "processes" and cell.variant not in self._pools
        before = perf_counter()
        if new:
            # What travels by name may take any. But it stays mapped only until its worker is sent something else.
            transport = cell.variant if cell.variant in TRANSPORTS else "pipe"
            self._pools[cell.variant] = self._stack.enter_context(Processes(1, transport=transport))
        seconds, _ = self._cross(cell)
        first = perf_counter() - before
        if new or seconds < LONG:
            seconds, _ = self._cross(cell)
        if new:
            self.startup[cell] = max(0.0, first - seconds)
        while seconds < self._target / 2:
            self._trips[cell] = min(8 * self._trips[cell], math.ceil(self._trips[cell] * self._target / seconds))
            seconds, _ = self._cross(cell)
        self.work[cell] = self._trips[cell] * (_size(cell) or 1)

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
        """The seconds that a cell's trips take, and how many of them bring something wrong."""
        trips, trip = range(self._trips[cell], 0, -1), Trip.named(cell.workload)
        call = self._call(cell)
        if trip is None:
            began = perf_counter()
            echoes = [call(abs, number) for number in trips]
            return perf_counter() - began, sum(echo != number for echo, number in zip(echoes, trips, strict=True))
        if trip.direction == THERE:
            array = self._arrays.get(cell.variant, self._arrays[ALONE])[: trip.size // ITEM]
            began = perf_counter()
            sums = [call(checksum, array) for _ in trips]
            seconds, starts = perf_counter() - began, [FIRST for _ in trips]
        else:
            began, sums, starts = perf_counter(), [], list(trips)
            for start in trips:
                array = call(make, (start, trip.size))
                sums.append(checksum(array))
            seconds = perf_counter() - began
        wrong = sum(one != right(start, trip.size) for one, start in zip(sums, starts, strict=True))
        if trip.direction != THERE and not np.array_equal(array, self._arrays[ALONE][: trip.size // ITEM]):
            wrong = max(wrong, 1)
        return seconds, wrong

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


def _size(cell: Cell) -> int:
    """Bytes of its arrays; none of an integer."""
    trip = Trip.named(cell.workload)
    return 0 if trip is None else trip.size
