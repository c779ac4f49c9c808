"""On which file system a file is."""

from __future__ import annotations

import os
import re
from pathlib import Path


def file_system(path: str | os.PathLike[str], *, proc: Path = Path("/proc")) -> str | None:
    """Return the type of the file system of a path, such as "ext4" or "nfs4"; None where the system does not tell.

    Linux lists what is mounted in ``/proc/self/mountinfo`` (proc_pid_mountinfo(5)). Of the mount points above the path,
    the longest counts, and of several at the same place the last.
    """
    try:
        lines = (proc / "self" / "mountinfo").read_text().splitlines()
    except OSError:
        return None
    place = Path(path).resolve()
    found: tuple[int, str] | None = None
    for line in lines:
        mount, _, its_type = line.partition(" - ")
        point = Path(re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), mount.split()[4]))
        depth = len(point.parts)
        if place.is_relative_to(point) and (found is None or depth >= found[0]):
            found = depth, its_type.split()[0]
    return None if found is None else found[1]
