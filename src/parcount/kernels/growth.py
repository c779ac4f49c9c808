"""The length of a table that is too short for its keys; without NumPy, for workers that cannot load it."""

from __future__ import annotations


def grown_size(bins: int, least: int, greatest: int, grow: bool) -> int:
    """The length of the table for keys from `least` to `greatest`, one of which is not in a table of `bins` cells.

    Raises
    ------
    ValueError
        If a key is negative, or the table must not grow.
    """
    if not grow:
        raise ValueError(f"a key lies outside 0 … {bins - 1}")
    if least < 0:
        raise ValueError("'list' argument must have no negative elements")
    return max(bins, int(greatest) + 1)  # no shorter, if another thread has changed the keys
