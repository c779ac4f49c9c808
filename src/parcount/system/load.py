"""Load by other programs, and time spent waiting for a core.

Both make measured times longer.

On Linux the kernel reports for each thread how long it was ready to run and waited for a core. Other systems report the
load average only.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

PROC = Path("/proc")


def waiting_time(pids: Iterable[int], proc: Path = PROC) -> float:
    """Seconds that all threads of some processes have so far been ready to run without a core to run on."""
    nanoseconds = 0
    for pid in pids:
        for path in (proc / str(pid) / "task").glob("*/schedstat"):
            try:
                nanoseconds += int(path.read_text().split()[1])
            except (OSError, IndexError, ValueError):
                continue  # the thread has just ended
    return nanoseconds / 1e9


def stolen_time(proc: Path = PROC) -> float:
    """Seconds since boot that this virtual machine's cores wanted to run while their host ran others.

    Summed over all cores; the kernel counts it in steps of a hundredth of a second.
    """
    try:
        return int((proc / "stat").read_text().split(None, 9)[8]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError, AttributeError):
        return 0.0


@dataclass(frozen=True)
class Neighbour:
    """Another process that was busy meanwhile.

    Attributes
    ----------
    name, pid
        Who.
    cores : float
        How many cores it kept busy on average.
    """

    name: str
    pid: int
    cores: float

    def __str__(self) -> str:
        return f"{self.name} (process {self.pid}) kept {self.cores:.2f} cores busy"


class Watch:
    """Compares the CPU time of other processes at two times.

    Parameters
    ----------
    proc : Path, optional
        Where Linux shows processes.
    """

    def __init__(self, proc: Path = PROC) -> None:
        self._proc = proc
        self._since = perf_counter()
        self._before = self._look()
        self._stolen = stolen_time(proc)

    def age(self) -> float:
        """Return the seconds since the start."""
        return perf_counter() - self._since

    def neighbours(self, ours: Collection[int], least: float = 0.1) -> list[Neighbour]:
        """Processes other than `ours`, and their children, that kept at least `least` cores busy since the start.

        Those that have started and ended since are not seen.
        """
        passed = perf_counter() - self._since
        now = self._look()
        family = set(ours)
        for pid in sorted(now):  # children have larger ids than parents, but for wrap-around
            if now[pid].parent in family:
                family.add(pid)
        found = []
        for pid, process in now.items():
            before = self._before[pid].seconds if pid in self._before else 0.0
            share = (process.seconds - before) / passed
            if pid not in family and share >= least:
                found.append(Neighbour(process.name, pid, round(share, 2)))
        return sorted(found, key=lambda neighbour: -neighbour.cores)

    def taken(self, ours: Collection[int]) -> float:
        """Cores that others had since the start, on average: all programs but ours, and the hypervisor.

        The kernel counts what a program took in steps of a hundredth of a second.
        """
        return sum(neighbour.cores for neighbour in self.neighbours(ours, least=0.01)) + max(0.0, self.stolen())

    def stolen(self) -> float:
        """Cores that the hypervisor gave to other machines since the start, on average."""
        return (stolen_time(self._proc) - self._stolen) / (perf_counter() - self._since)

    def _look(self) -> dict[int, _Process]:
        found = {}
        for path in self._proc.glob("[0-9]*/stat"):
            try:
                # The name stands in parentheses and may hold any character; what follows is regular.
                head, _, rest = path.read_text().rpartition(")")
                fields = rest.split()
                seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
                found[int(path.parent.name)] = _Process(head.partition("(")[2], int(fields[1]), seconds)
            except (OSError, IndexError, ValueError):
                continue  # the process has just ended
        return found


@dataclass(frozen=True)
class _Process:
    name: str
    parent: int
    seconds: float
