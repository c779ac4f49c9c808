"""A machine whose times are known: what the instrument must find in them can be computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from parcount.studies.core.analysis import CellResult, analyse
from parcount.studies.core.cells import Cell, Round, Sample

SERIAL = Cell("tally", "cython", "serial", 1)
THREADS = Cell("tally", "cython", "threads", 2)
FOUR = Cell("tally", "cython", "threads", 4)
APART = Cell("tally", "cython", "processes", 2)
HELD_SERIAL = Cell("tally", "cython-gil", "serial", 1)
HELD = Cell("tally", "cython-gil", "threads", 2)
PYTHON = Cell("tally", "python", "serial", 1)
PROCESSES = Cell("tally", "python", "processes", 2)
INTERPRETERS = Cell("tally", "python", "interpreters", 2)

CELLS = [PYTHON, PROCESSES, SERIAL, THREADS, HELD_SERIAL, HELD]
QUIET = {PYTHON: 1.0, PROCESSES: 0.52, SERIAL: 1.0, THREADS: 0.51, HELD_SERIAL: 1.0, HELD: 1.0}
WORK = {cell: 1000 if cell.variant == "python" else 100_000 for cell in (*CELLS, FOUR, APART, INTERPRETERS)}


@dataclass
class Machine:
    """Runs cells on a clock of its own.

    Parameters
    ----------
    seconds : mapping
        What each cell takes on the quiet machine.
    drift : callable
        By how much everything is slower at a given time.
    waited : callable
        What share the workers waited, given the cell and the number of its run.
    """

    seconds: dict[Cell, float]
    drift: Callable[[float], float] = lambda _now: 1.0
    waited: Callable[[Cell, int], float] = lambda _cell, _run: 0.0
    slow: Callable[[Cell, int], float] = lambda _cell, _run: 1.0
    now: float = 0.0
    ran: list[Cell] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def run(self, cell: Cell) -> Sample:
        number = self.ran.count(cell)
        self.ran.append(cell)
        seconds = self.seconds[cell] * self.drift(self.now) * self.slow(cell, number)
        self.now += seconds
        return Sample(seconds, True, self.waited(cell, number))


def results(rounds: Sequence[Round], cells: Sequence[Cell] = tuple(CELLS)) -> list[CellResult]:
    """What the analysis makes of rounds, with start-up of a tenth of a second for processes."""
    return analyse(
        cells,
        rounds,
        work=WORK,
        startup={cell: 0.1 for cell in cells if cell.execution == "processes"},
        unmeasured={},
    )


def rounds_of(count: int, seconds: dict[Cell, float] = QUIET, waited: float = 0.0) -> list[Round]:
    """Identical rounds."""
    return [{cell: Sample(time, True, waited) for cell, time in seconds.items()} for _ in range(count)]
