"""How much memory, shared memory and disk there is for arrays."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FreeMemory:
    """Bytes that are free; None where the system does not tell.

    Attributes
    ----------
    memory : int or None
        The machine's, or the container's.
    shared : int or None
        Of it, what may be shared memory. A container is often given little.
    disk : int or None
        Where temporary files go.
    """

    memory: int | None = None
    shared: int | None = None
    disk: int | None = None


def free_memory(
    folder: str | os.PathLike[str],
    *,
    proc: Path = Path("/proc"),
    cgroup: Path = Path("/sys/fs/cgroup"),
    shared: Path = Path("/dev/shm"),
) -> FreeMemory:
    """Ask the system.

    Parameters
    ----------
    folder : path
        Where temporary files go.
    proc, cgroup, shared : Path
        Where Linux shows processes, this container's control group, and shared memory.
    """
    limits = [_available(proc / "meminfo"), *(_left(cgroup, *names) for names in GROUPS)]
    return FreeMemory(min((limit for limit in limits if limit is not None), default=None), _free(shared), _free(folder))


GROUPS = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)
"""What versions 2 and 1 of control groups call the limit, what is taken, and what of that is given back on demand."""


def _available(meminfo: Path) -> int | None:
    for key, value in _fields(meminfo).items():
        if key == "MemAvailable:":
            return value * 1024
    return None


def _left(root: Path, limit: str, taken: str, stat: str, idle: str) -> int | None:
    try:
        most, used = int((root / limit).read_text()), int((root / taken).read_text())
    except (OSError, ValueError):  # no such version here, or no limit
        return None
    return max(0, most - used + _fields(root / stat).get(idle, 0))


def _fields(path: Path) -> dict[str, int]:
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {words[0]: int(words[1]) for words in lines if len(words) > 1 and words[1].isdecimal()}


def _free(folder: str | os.PathLike[str]) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
