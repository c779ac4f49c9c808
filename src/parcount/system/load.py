"""Load by other programs, and time spent waiting for a core. Both make measured times longer.

Linux reports for each thread how long it was ready to run and waited for a core. Other systems report nothing here.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

PROC = Path("/proc")


def waiting_time(pids: Iterable[int], proc: Path = PROC) -> float:
    """Return the seconds that all threads of some processes have been ready to run without a core."""
    nanoseconds = 0
    for pid in pids:
        for path in (proc / str(pid) / "task").glob("*/schedstat"):
            with suppress(OSError, IndexError, ValueError):  # the thread has just ended
                nanoseconds += int(path.read_text().split()[1])
    return nanoseconds / 1e9


def stolen_time(proc: Path = PROC) -> float:
    """Return the seconds since boot, over all cores, that the host of this virtual machine ran others instead.

    The kernel counts them in hundredths.
    """
    try:
        return int((proc / "stat").read_text().split(None, 9)[8]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError, AttributeError):
        return 0.0


@dataclass(frozen=True)
class Neighbour:
    """Another busy process, and the cores that it kept busy on average."""

    name: str
    pid: int
    cores: float

    def __str__(self) -> str:
        return f"{self.name} (process {self.pid}) kept {self.cores:.2f} cores busy"


@dataclass(frozen=True)
class _Process:
    name: str
    parent: int
    seconds: float


class Watch:
    """The CPU time of other processes since the watch was made."""

    def __init__(self, proc: Path = PROC) -> None:
        self._proc = proc
        self._since = perf_counter()
        self._before = self._processes()
        self._stolen = stolen_time(proc)

    def age(self) -> float:
        """Return the seconds since the start."""
        return perf_counter() - self._since

    def neighbours(self, ours: Collection[int], least: float = 0.1) -> list[Neighbour]:
        """Return the processes, other than ours and their children, that kept at least `least` cores busy.

        Those that have started and ended meanwhile are not seen.
        """
        passed = self.age()
        now = self._processes()
        family = set(ours)
        for pid in sorted(now):  # children have larger ids than parents, but for wrap-around
            if now[pid].parent in family:
                family.add(pid)
        found = []
        for pid in now.keys() - family:
            before = self._before[pid].seconds if pid in self._before else 0.0
            share = (now[pid].seconds - before) / passed
            if share >= least:
                found.append(Neighbour(now[pid].name, pid, round(share, 2)))
        return sorted(found, key=lambda neighbour: -neighbour.cores)

    def taken(self, ours: Collection[int]) -> float:
        """Return the cores that other programs and the hypervisor have used on average."""
        return sum(neighbour.cores for neighbour in self.neighbours(ours, least=0.01)) + max(0.0, self.stolen())

    def stolen(self) -> float:
        """Return the cores that the hypervisor has given to other machines on average."""
        return (stolen_time(self._proc) - self._stolen) / self.age()

    def _processes(self) -> dict[int, _Process]:
        found = {}
        for path in self._proc.glob("[0-9]*/stat"):
            with suppress(OSError, IndexError, ValueError):  # the process has just ended
                # The name stands in parentheses and may hold any character; what follows is regular.
                head, _, rest = path.read_text().rpartition(")")
                fields = rest.split()
                seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
                found[int(path.parent.name)] = _Process(head.partition("(")[2], int(fields[1]), seconds)
        return found
