"""The number of threads of a call."""

from __future__ import annotations

import os
from functools import cache
from operator import index

from parcount.execution.arguments import integer
from parcount.system.cores import cores, share_of

MAX_THREADS = 256
"""Maximum threads of a call on a machine with fewer cores: threads without a core of their own gain nothing."""

_num_threads: int | None = None
_cores = cache(lambda: cores().available)


def set_num_threads(n: int | None) -> None:
    """Set the maximum number of threads of calls without `threads`.

    Parameters
    ----------
    n : int or None
        At least 1. None restores the default: ``PARCOUNT_NUM_THREADS``, or if that is not set, the number of available
        cores, which is determined again.

    Raises
    ------
    TypeError, ValueError
        If `n` is not an integer, or less than one.
    """
    global _num_threads
    _cores.cache_clear()
    _num_threads = None if n is None else positive(n, "the number of threads")


def get_num_threads() -> int:
    """The maximum number of threads of calls without `threads`."""
    cap = read_setting(_num_threads, "PARCOUNT_NUM_THREADS")
    available = share_of(_cores())
    return available if cap is None else min(cap, available)


def usable_threads(threads: int) -> int:
    """The number of threads of a call that asks for `threads`.

    Raises
    ------
    TypeError, ValueError
        If `threads` is not an integer, or less than one.
    """
    return min(integer("threads", threads), max(MAX_THREADS, _cores()))


def read_setting(value: int | None, variable: str) -> int | None:
    """Return a setting: the value, or else that of an environment variable; ValueError if that is not valid."""
    if value is None and (text := os.environ.get(variable)):
        try:
            return positive(int(text), variable)
        except ValueError:
            raise ValueError(f"{variable} must be an integer of at least 1, not {text!r}") from None
    return value


def positive(n: int, what: str) -> int:
    """Return `n`; ValueError, naming `what`, unless it is an integer of at least one."""
    if isinstance(n, bool) or index(n) < 1:
        raise ValueError(f"{what} must be at least 1, not {n!r}")
    return index(n)
