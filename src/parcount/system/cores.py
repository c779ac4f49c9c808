"""The number of cores that this process may use, and what limits it.

A worker has a share of its caller's cores, so that calls in workers do not start more threads or processes than there
are cores. A worker process has its share in an environment variable, which whatever it starts inherits; a worker thread
has its share of the process's cores in its context.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from contextvars import ContextVar
from itertools import pairwise
from typing import NamedTuple

# Without dataclasses and pathlib: they take 12 ms to import, a tenth of the time of `parcount count` for 2 GB.

MAX_CORES = "PARCOUNT_MAX_CORES"
"""Environment variable: the most cores that a process may use. `Processes` sets it in workers to their share."""


class Cores(NamedTuple):
    """The limits on the cores of this process.

    Attributes
    ----------
    machine : int
        The number that the operating system reports.
    affinity : int or None
        The number in the CPU affinity of this process; None where the system has no affinity.
    quota : float or None
        The CPU quota of the control group, in cores; None without a quota.
    limit : int or None
        The value of ``PARCOUNT_MAX_CORES``, which is a worker process's share of its caller's cores; None if not set.
    """

    machine: int
    affinity: int | None = None
    quota: float | None = None
    limit: int | None = None

    @property
    def available(self) -> int:
        """The smallest of the limits in whole cores, at least one."""
        return max(1, min(map(int, self._limits)))

    @property
    def parallel(self) -> int:
        """The workers that can run at the same time: as `available`, but a fraction of a core in a quota counts as one.

        A quota limits CPU time and not the number of threads that run: of 1.5 cores, two threads take 0.75 each.
        """
        return max(1, min(map(math.ceil, self._limits)))

    @property
    def _limits(self) -> list[float]:
        return [limit for limit in (self.machine, self.affinity, self.quota, self.limit) if limit is not None]

    @property
    def reason(self) -> str:
        """A sentence that names the limit which applies."""
        if self.limit is not None and self.limit < self._replace(limit=None).available:
            return f"{MAX_CORES} is {self.limit}"
        if self.quota is not None and int(self.quota) <= self.available < self.machine:
            return f"the container's quota is {self.quota:g} cores of {self.machine}"
        if self.affinity is not None and self.affinity < self.machine:
            return f"the process is bound to {self.affinity} of {self.machine} cores"
        return f"the machine has {self.machine}, and neither affinity nor a quota takes any away"


def cores(
    cgroup: str | os.PathLike[str] = "/sys/fs/cgroup", membership: str | os.PathLike[str] = "/proc/self/cgroup"
) -> Cores:
    """Read the limits from the system.

    Parameters
    ----------
    cgroup, membership : path
        The mount point of the control groups, and the file that lists those of this process.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return Cores(os.cpu_count() or 1, affinity, _quota(os.fspath(cgroup), os.fspath(membership)), _limit())


def available_cores() -> int:
    """The number of cores that the caller may use.

    It is the smallest of the number of cores, the CPU affinity, the CPU quota and ``PARCOUNT_MAX_CORES``. A worker of
    `Threads`, `Processes` or `Interpreters` has an equal share of it.
    """
    return share_of(cores().available)


def share_of(available: int) -> int:
    """How many of the cores available to this process the calling thread may use, at least one."""
    limit = _limit()
    return max(1, (available if limit is None else min(available, limit)) // _share.get().divisor)


class Share(NamedTuple):
    """The share of a thread in the cores available to its process."""

    divisor: int = 1
    """The number of threads that have a share."""
    number: int = 0
    """Distinguishes threads that have shares, so that each of their calls can have threads of its own."""

    def part(self, number: int, divisor: int) -> Share:
        """One of several equal parts of this share."""
        return Share(self.divisor * divisor, self.number * divisor + number)


_WHOLE = Share()
_share: ContextVar[Share] = ContextVar("parcount_share", default=_WHOLE)


def current_share() -> Share:
    """The share of the calling thread."""
    return _share.get()


def set_share(share: Share) -> None:
    """Set the share of the calling thread."""
    _share.set(share)


def set_default_share(share: Share) -> None:
    """Set the share of all threads of an interpreter, in which each call has a context of its own."""
    global _share
    _share = ContextVar(_share.name, default=share)


def parallel_cores() -> int:
    """The number of workers of this process that can run at the same time, as `Cores.parallel`."""
    return cores().parallel


def allowed_cores() -> frozenset[int]:
    """The cores that the calling thread may run on; empty where the system has no affinity."""
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()


def split_cores(cores: frozenset[int], workers: int) -> list[list[int]]:
    """Neighbouring cores for each worker, in groups of nearly equal size; empty if there are too few cores."""
    if len(cores) < workers:
        return []
    ordered = sorted(cores)
    bounds = [len(ordered) * worker // workers for worker in range(workers + 1)]
    return [ordered[start:stop] for start, stop in pairwise(bounds)]


def spread(pids: Sequence[int]) -> None:
    """Bind processes to a core each, if there are as many cores and the system has affinities."""
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        if len(pids) <= len(allowed):
            for pid, core in zip(pids, allowed, strict=False):
                with suppress(ProcessLookupError):  # it has just ended
                    os.sched_setaffinity(pid, {core})


def _limit() -> int | None:
    text = os.environ.get(MAX_CORES)
    if not text:
        return None
    with suppress(ValueError):
        if int(text) > 0:
            return int(text)
    raise ValueError(f"{MAX_CORES} must be an integer of at least 1, not {text!r}")


def _quota(root: str, membership: str) -> float | None:
    """The tightest CPU quota of this process's control groups, in cores; versions 1 and 2."""
    quotas = []
    # Inside a container the group's path may be the host's and not exist here: its root then stands for it.
    groups = {root, f"{root}/cpu"}
    for line in filter(None, _read(membership, "\n")):
        _, controllers, path = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            base = f"{root}/cpu" if controllers else root
            path = path.strip("/")
            while path:
                groups.add(f"{base}/{path}")
                path = path.rpartition("/")[0]
    for group in groups:
        for numbers in (
            _read(f"{group}/cpu.max"),
            _read(f"{group}/cpu.cfs_quota_us") + _read(f"{group}/cpu.cfs_period_us"),
        ):
            if len(numbers) == 2 and numbers[0].isdecimal() and int(numbers[1]) > 0:
                quotas.append(int(numbers[0]) / int(numbers[1]))  # noqa: PERF401 - the two forms read better so
    return min(quotas, default=None)


def _read(path: str, separator: str | None = None) -> list[str]:
    try:
        with open(path) as file:  # noqa: PTH123
            return file.read().strip().split(separator)
    except OSError:
        return []
