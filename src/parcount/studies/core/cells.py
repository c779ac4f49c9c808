"""Cells of a study, samples of them, and rounds of samples."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Cell:
    """One (workload, variant, execution, workers) of a study.

    Attributes
    ----------
    workload, variant, execution, workers
        What is run, and by whom. These four identify a cell.
    unit : str
        One unit of its work, in the singular: "increment", "page", "byte", "trip".
    direction : {"there", "back"} or None
        Where its arrays go, if it sends arrays.
    array_bytes : int or None
        Their size.
    """

    workload: str
    variant: str
    execution: str
    workers: int
    unit: str = field(default="increment", compare=False)
    direction: str | None = field(default=None, compare=False)
    array_bytes: int | None = field(default=None, compare=False)

    @property
    def key(self) -> tuple[str, str, str, int]:
        """The four fields that identify it."""
        return self.workload, self.variant, self.execution, self.workers

    @property
    def baseline(self) -> Cell:
        """The cell that this one's speedup is against: the same variant, serial."""
        return replace(self, execution="serial", workers=1)

    def __str__(self) -> str:
        return f"{self.workload}/{self.variant}/{self.execution}/{self.workers}"


def with_workers(serial: Cell, executions: Iterable[str], workers: Iterable[int]) -> list[Cell]:
    """Return a serial cell, and the same under each other execution with each number of workers."""
    return [
        serial,
        *(
            replace(serial, execution=execution, workers=count)
            for execution in executions
            if execution != "serial"
            for count in workers
        ),
    ]


DISTURBED = 0.05
"""Share of waiting for a core from which a run says more about its neighbours than about its cell.

Not less: two workers that the system first puts on one core wait some milliseconds until it moves one of them. Not
more: if the wait is all one worker's, two run at 1.8 times the speed of one, which is still told from not parallel.
"""


@dataclass(frozen=True)
class Sample:
    """One run of a cell.

    Attributes
    ----------
    seconds : float
        From the barrier to the merged counts.
    exact : bool
        Whether the counts were right.
    waited : float
        Of the time that its workers could have run, the share that they waited for a core: what other programs took,
        or a virtual machine's host.
    lost : int
        Increments that were made and are missing from the count, or pages or arrays that are missing or wrong.
    cpu : float or None
        Seconds of CPU time that its workers took, where that is measured.
    server : float or None
        Seconds of CPU time that the server took meanwhile, where there is one.
    """

    seconds: float
    exact: bool
    waited: float = 0.0
    lost: int = 0
    cpu: float | None = None
    server: float | None = None

    @property
    def disturbed(self) -> bool:
        """Whether other programs took too much for this run to be compared."""
        return self.waited > DISTURBED


Round = dict[Cell, Sample]
"""One run of each cell, close together in time: what ratios are taken within."""
