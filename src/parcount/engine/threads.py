"""How many threads a call gets: as many as pay, if its caller names no number."""

from __future__ import annotations

import os
from functools import cache
from operator import index

from parcount._native.dispatch import set_small_size
from parcount.execution.base import Execution, integer
from parcount.execution.pinned_threads import pinned_threads
from parcount.execution.threads import Threads
from parcount.system.cores import available_cores

DEFAULT_GRAIN = 1 << 18
"""Elements in the smallest part worth a thread of its own.

Two threads that stand ready begin to be faster than one at about 200 000 increments of `tally` in all, and at twice as
many of `bincount`, which takes less than half as long for each (``bench/test_dispatch.py``, two cores).
"""

SMALL = 1 << 14
"""Elements up to which NumPy's own function takes less time than ours takes to get ready (``bench/peers.py``)."""

MAX_THREADS = 256
"""More threads are started only for as many cores: without a core of its own a thread gains nothing."""

_num_threads: int | None = None
_cores = cache(available_cores)
_grain: int | None = None


def set_num_threads(n: int | None) -> None:
    """Cap the threads that a call uses unless it names a number itself.

    Parameters
    ----------
    n : int or None
        At least 1; None returns to ``PARCOUNT_NUM_THREADS``, or where that is not set, to all available cores, and
        asks the system anew how many that are: its answer is kept, for to ask takes longer than many a call.

    Raises
    ------
    TypeError, ValueError
        If `n` is no integer, or less than one.
    """
    global _num_threads
    _cores.cache_clear()
    _num_threads = None if n is None else _positive(n, "the number of threads")


def get_num_threads() -> int:
    """The most threads that a call uses unless it names a number itself."""
    cap = _setting(_num_threads, "PARCOUNT_NUM_THREADS")
    return _cores() if cap is None else min(cap, _cores())


def set_grain(n: int | None) -> None:
    """Set the smallest part, in elements, that is worth a thread.

    Parameters
    ----------
    n : int or None
        At least 1, which splits even the smallest input; None returns to ``PARCOUNT_GRAIN``, or where that is not
        set, to the measured default.

    Raises
    ------
    TypeError, ValueError
        If `n` is no integer, or less than one.
    """
    global _grain
    _grain = None if n is None else _positive(n, "the grain")
    _size_up()


def get_grain() -> int:
    """The smallest part, in elements, that is worth a thread."""
    grain = _setting(_grain, "PARCOUNT_GRAIN")
    return DEFAULT_GRAIN if grain is None else grain


def _size_up() -> None:
    try:
        set_small_size(min(SMALL, get_grain()))  # what is to be split is not left to NumPy
    except ValueError:  # a variable's nonsense is refused where it is used, which then is by every call
        set_small_size(0)


def choose_execution(size: int, threads: int | None, on: Execution | None) -> Execution:
    """The execution for a call over `size` elements.

    Parameters
    ----------
    size : int
        How many elements there are.
    threads : int or None
        As the caller gave it: that many, or as many as pay off.
    on : Execution or None
        As the caller gave it.

    Raises
    ------
    ValueError
        If the caller gave both.
    TypeError
        If `on` is no execution.
    """
    if on is not None:
        if threads is not None:
            raise ValueError("threads= is short for on=Threads(…): give one of the two")
        if not isinstance(on, Execution):
            raise TypeError(f"on= takes an execution such as Threads(2), not {on!r}")
        return on
    if threads is None:
        threads = size // get_grain()
        if threads > 1:
            threads = min(threads, get_num_threads())
        threads = max(1, threads)
    return pinned_threads(usable_threads(threads))


def persistent_threads(execution: Threads) -> Execution:
    """The execution that counts for `execution`: as `choose_execution` with as many threads.

    Only threads that run an initializer, or are of a subclass, count themselves.
    """
    if type(execution) is not Threads or execution._initializer is not None:
        return execution
    return pinned_threads(usable_threads(execution.workers))


def usable_threads(threads: int) -> int:
    """The number of threads that pay at all, if so many were asked for.

    Raises
    ------
    TypeError, ValueError
        If `threads` is not an integer, or less than one.
    """
    return min(integer("threads", threads), max(MAX_THREADS, _cores()))


def _setting(value: int | None, variable: str) -> int | None:
    if value is None and (text := os.environ.get(variable)):
        try:
            return _positive(int(text), variable)
        except ValueError:
            raise ValueError(f"{variable} must be an integer of at least 1, not {text!r}") from None
    return value


def _positive(n: int, what: str) -> int:
    if isinstance(n, bool) or index(n) < 1:
        raise ValueError(f"{what} must be at least 1, not {n!r}")
    return index(n)


_size_up()
