"""Cells of a study, samples of them, and rounds of samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

DISTURBED = 0.05
"""Share of waiting for a core from which a run is disturbed.

Not less: two workers that the system first puts on one core wait some milliseconds until it moves one of them.
"""


@dataclass(frozen=True)
class Cell:
    """One combination of a study; `workload`, `variant`, `execution` and `workers` identify it.

    Attributes
    ----------
    workload, variant, execution, workers
        What is run, and by whom.
    unit : str
        One unit of its work, in the singular: "increment", "page", "byte", "trip", "call", "record".
    direction : {"there", "back"} or None
        Where its arrays go, if it sends arrays.
    array_bytes : int or None
        Their size.
    record_bytes : int or None
        The size of its records, if it appends records.
    """

    workload: str
    variant: str
    execution: str
    workers: int
    unit: str = field(default="increment", compare=False, kw_only=True)
    direction: str | None = field(default=None, compare=False, kw_only=True)
    array_bytes: int | None = field(default=None, compare=False, kw_only=True)
    record_bytes: int | None = field(default=None, compare=False, kw_only=True)

    @property
    def key(self) -> tuple[str, str, str, int]:
        """The four fields that identify it."""
        return self.workload, self.variant, self.execution, self.workers

    @property
    def baseline(self) -> Cell:
        """The same variant, serial."""
        return replace(self.cell, execution="serial", workers=1)

    @property
    def cell(self) -> Cell:
        """The cell alone, without results."""
        return Cell(
            *self.key,
            unit=self.unit,
            direction=self.direction,
            array_bytes=self.array_bytes,
            record_bytes=self.record_bytes,
        )

    def __str__(self) -> str:
        return f"{self.workload}/{self.variant}/{self.execution}/{self.workers}"


def with_workers(serial: Cell, executions: Iterable[str], workers: Iterable[int]) -> list[Cell]:
    """Return a serial cell, and the same under each other execution with each number of workers."""
    others = [name for name in executions if name != "serial"]
    return [serial, *(replace(serial, execution=name, workers=count) for name in others for count in workers)]


@dataclass(frozen=True)
class Sample:
    """One run of a cell.

    Attributes
    ----------
    seconds : float
        From the barrier to the merged counts.
    exact : bool
        Whether the result was right.
    waited : float
        The share of the time in which its workers were ready to run and had no core, because other programs or a
        virtual machine's host used it.
    lost : int
        Increments that are missing from the count, pages or arrays that are missing or wrong, or missing records.
    cpu, server : float or None
        Seconds of CPU time of its workers, and of the server, where measured.
    evidence : mapping of str to float
        What else was measured beside it. A sample without a value of some name does not have the name.
    """

    seconds: float
    exact: bool
    waited: float = 0.0
    lost: int = 0
    cpu: float | None = None
    server: float | None = None
    evidence: Mapping[str, float] = field(default_factory=dict)


Round = dict[Cell, Sample]
"""One run of each cell, close together in time. Ratios are taken within a round."""
