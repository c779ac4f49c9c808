"""What the machine gives at this instant: a short probe before and after each run.

A virtual machine's cores may be hyperthreads that its host lends to others, or puts on one physical core: programs
then run at half speed, and nothing that the guest can read tells. So as many threads as the run has workers do a little
work that needs no GIL and no memory; if that takes longer than it took at best, the run beside it is not comparable.
"""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Self

from parcount.counting import count_timed
from parcount.execution.base import Execution
from parcount.execution.serial import Serial
from parcount.execution.threads import Threads
from parcount.kernels import WORKLOADS, TallyJob

PROBE = 0.002
"""Seconds that one probe takes: long against waking a thread, short against a run."""

LEARNING = 25
"""Probes to find out what the machine gives at best, before the first is believed."""


class Capacity:
    """Probes the machine: a context manager.

    Attributes
    ----------
    size : int
        Increments in each worker's share of a probe.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._teams: dict[int, Execution] = {}
        self._best: dict[int, float] = {}
        self.size = 1 << 10

    def __enter__(self) -> Self:
        self._stack.__enter__()
        while self._probe(Serial()) < PROBE:
            self.size *= 2
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def lack(self, workers: int) -> float:
        """Of the speed that so many cores had at best, the share that is missing now."""
        if workers not in self._teams:
            self._teams[workers] = self._stack.enter_context(Threads(workers))
            self._best[workers] = min(self._probe(self._teams[workers]) for _ in range(LEARNING))
        seconds = self._probe(self._teams[workers])
        self._best[workers] = min(self._best[workers], seconds)
        return 1 - self._best[workers] / seconds

    def _probe(self, on: Execution) -> float:
        _, seconds = count_timed(TallyJob(self.size * on.workers), WORKLOADS["tally"].kernels["cython"], on)
        return seconds
