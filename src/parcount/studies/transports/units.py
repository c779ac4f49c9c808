"""Bytes, times and speeds in words. A kilobyte has 1024 bytes, a megabyte as many kilobytes."""

from __future__ import annotations

KB = 1 << 10
MB = 1 << 20
GB = 1 << 30

UNITS = {"GB": GB, "MB": MB, "kB": KB, "bytes": 1}


def format_bytes(count: float) -> str:
    """So many bytes, in the unit of which there is at least one.

    Examples
    --------
    >>> format_bytes(4096), format_bytes(1 << 28), format_bytes(1.5 * GB)
    ('4 kB', '256 MB', '1.5 GB')
    """
    for unit, size in UNITS.items():
        if count >= size:
            return f"{_three(count / size)} {unit}"
    return "0 bytes"


def format_seconds(seconds: float) -> str:
    """Seconds, or what part of a second reads best.

    Examples
    --------
    >>> format_seconds(41.3e-6), format_seconds(0.1804), format_seconds(2.0)
    ('41.3 µs', '180 ms', '2 s')
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{_three(seconds / size)} {unit}"
    return f"{_three(seconds / 1e-9)} ns"


def format_speed(rate: float) -> str:
    """Bytes a second.

    Examples
    --------
    >>> format_speed(2.25 * GB)
    '2.25 GB/s'
    """
    return f"{format_bytes(rate)}/s"


def _three(number: float) -> str:
    """Three digits: no more is known."""
    return f"{float(f'{number:.3g}'):g}"
