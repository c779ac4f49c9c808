"""What prepares and runs a study's cells, whatever they are about."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self, TypeVar

from parcount.studies.core.analysis import FAILED
from parcount.studies.core.cells import Cell, Sample

Outcome = TypeVar("Outcome")


class Runner(ABC):
    """Prepares cells, runs them, and cleans up: a context manager.

    Attributes
    ----------
    work : dict of Cell to int
        Increments in one run, of each prepared cell.
    startup : dict of Cell to float
        Seconds by which new workers' first answer comes later than a warm one.
    failed : dict of Cell to (status, reason)
        Cells that raised, and what.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.work: dict[Cell, int] = {}
        self.startup: dict[Cell, float] = {}
        self.failed: dict[Cell, tuple[str, str]] = {}

    def __enter__(self) -> Self:
        self._stack.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    @abstractmethod
    def pids(self) -> list[int]:
        """The ids of this process and of all workers'."""

    @abstractmethod
    def prepare(self, cells: Sequence[Cell], progress: Callable[[str], None]) -> None:
        """Run every cell once, untimed, with all that it takes."""

    def run(self, cell: Cell) -> Sample | None:
        """Run a prepared cell once; None if it raised."""
        return self._attempt(cell, self._run)

    @abstractmethod
    def _run(self, cell: Cell) -> Sample:
        """`run`, which may raise."""

    def _attempt(self, cell: Cell, action: Callable[[Cell], Outcome]) -> Outcome | None:
        """A cell that raises fails alone: the study goes on without it."""
        if cell in self.failed:
            return None
        try:
            return action(cell)
        except Exception as error:  # noqa: BLE001 - whatever a loop, a worker or the system raises
            self.failed[cell] = FAILED, f"{type(error).__name__}: {error}"
            return None
