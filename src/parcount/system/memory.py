"""How much memory, shared memory and disk is free."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

GROUPS = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)
"""In versions 2 and 1 of control groups, the limit, the use, and the part of the use that is freed on demand."""


@dataclass(frozen=True)
class FreeMemory:
    """Free bytes; None where unknown.

    Attributes
    ----------
    memory : int or None
        Of the machine, or of the container.
    shared : int or None
        Of shared memory, of which a container often has little.
    disk : int or None
        Of the disk for temporary files.
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
    """Read the free memory from the system.

    Parameters
    ----------
    folder : path
        Where temporary files go.
    proc, cgroup, shared : Path
        The mount points of processes, of the control group, and of shared memory.
    """
    limits = [_left(cgroup, *names) for names in GROUPS]
    if (available := _fields(proc / "meminfo").get("MemAvailable:")) is not None:
        limits.append(available * 1024)
    return FreeMemory(min((limit for limit in limits if limit is not None), default=None), _free(shared), _free(folder))


def _left(root: Path, limit: str, used: str, stat: str, idle: str) -> int | None:
    try:
        left = int((root / limit).read_text()) - int((root / used).read_text())
    except (OSError, ValueError):  # no such version here, or no limit
        return None
    return max(0, left + _fields(root / stat).get(idle, 0))


def _fields(path: Path) -> dict[str, int]:
    lines: list[list[str]] = []
    with suppress(OSError):
        lines = [line.split() for line in path.read_text().splitlines()]
    return {words[0]: int(words[1]) for words in lines if len(words) > 1 and words[1].isdecimal()}


def _free(folder: str | os.PathLike[str]) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def last_cache(root: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> int | None:
    """Return the bytes of the largest cache of the first core; None where the system does not tell."""
    sizes = []
    for path in root.glob("index*/size"):
        with suppress(OSError, ValueError, KeyError):
            text = path.read_text().strip()
            sizes.append(int(text[:-1]) * {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}[text[-1:]])
    return max(sizes, default=None)
