"""Settings of the C library's `malloc`."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3

MMAP_THRESHOLD = 32 << 20
"""The largest value that glibc reaches by itself, on machines of 64 bits: DEFAULT_MMAP_THRESHOLD_MAX of mallopt(3)."""

SETTINGS = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")
"""Environment variables with which users choose their own."""


def reuse_freed_memory() -> bool:
    """Let glibc keep up to 64 MB of freed memory for the next arrays; returns whether it does.

    By default glibc returns arrays of a few megabytes to the system, and each new one costs a page fault for every four
    kilobytes. Its thresholds rise to these values only in a process that frees arrays that large.
    """
    if sys.platform != "linux" or any(name in os.environ for name in SETTINGS):
        return False
    with suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        return bool(mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD) and mallopt(M_TRIM_THRESHOLD, 2 * MMAP_THRESHOLD))
    return False
