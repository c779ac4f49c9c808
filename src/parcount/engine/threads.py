"""The execution of a call, and the size from which it has several threads."""

from __future__ import annotations

from parcount._native.dispatch import set_small_size, set_team_size
from parcount.engine.num_threads import get_num_threads, positive, read_setting, usable_threads
from parcount.execution.arguments import check_execution
from parcount.execution.base import Execution
from parcount.execution.pinned_threads import pinned_threads
from parcount.execution.serial import Serial
from parcount.execution.threads import Threads
from parcount.system.cores import current_share

DEFAULT_GRAIN = 1 << 18
"""Minimum elements per thread.

Two waiting threads of an execution are faster than one from about 200 000 increments of `tally`, and from 400 000 keys
of `bincount`, which takes less than half as long for each (``bench/test_dispatch.py``, two cores).
"""

TEAM_GRAIN = 1 << 14
"""Minimum keys per thread of a `bincount` that native threads count; handing parts to them takes about a microsecond
(``bench/calls.py --pays``)."""

SMALL = 1 << 14
"""Elements below which an array is small: the parallel implementation takes longer to set up than NumPy's function, or
for `bincount`, `add_at` and `increment` the loops of `parcount._native.dispatch`, to count (``bench/peers.py``)."""

DIRECT = 1 << 17
"""Elements below which `parcount._native.dispatch` counts the most usual arguments, if one thread is to count them: a
job, its parts and an execution take some twenty microseconds (``bench/calls.py``)."""

_grain: int | None = None
_SERIAL = Serial()


def set_grain(n: int | None) -> None:
    """Set the minimum number of elements per thread.

    Parameters
    ----------
    n : int or None
        At least 1, which splits even the smallest input. None restores the default: ``PARCOUNT_GRAIN``, or if that is
        not set, a measured value.

    Raises
    ------
    TypeError, ValueError
        If `n` is not an integer, or less than one.
    """
    global _grain
    _grain = None if n is None else positive(n, "the grain")
    _update_small_size()


def get_grain() -> int:
    """The minimum number of elements per thread."""
    grain = read_setting(_grain, "PARCOUNT_GRAIN")
    return DEFAULT_GRAIN if grain is None else grain


def _team_threads(size: int) -> int:
    """The number of native threads that count so many keys."""
    return max(1, min(size // (read_setting(_grain, "PARCOUNT_GRAIN") or TEAM_GRAIN), get_num_threads()))


def _update_small_size() -> None:
    try:
        grain = get_grain()
        set_team_size(2 * min(TEAM_GRAIN, grain), _team_threads)
        set_small_size(min(SMALL, grain), min(DIRECT, 2 * grain))  # arrays that are to be split are not counted so
    except ValueError:  # PARCOUNT_GRAIN is not valid: no array is small, so every call reads it and raises
        set_small_size(0, 0)


def choose_execution(size: int, threads: int | None, on: Execution | None) -> Execution:
    """The execution of a call.

    Parameters
    ----------
    size : int
        The number of elements.
    threads, on : int or None, Execution or None
        The caller's arguments. Without them as many threads are used as pay off.

    Raises
    ------
    ValueError
        If both are given, or `threads` is less than one.
    TypeError
        If `on` is not an execution, or `threads` is not an integer.
    """
    if on is not None:
        if threads is not None:
            raise ValueError("threads= is short for on=Threads(…): give one of the two")
        check_execution(on)
        return on
    number = 0
    if threads is None:
        number = current_share().number  # calls in other workers at the same time use the other cores
        threads = size // get_grain()
        if threads > 1:
            threads = min(threads, get_num_threads())
        threads = max(1, threads)
    threads = usable_threads(threads)
    return _SERIAL if threads == 1 else pinned_threads(threads, number)


def persistent_threads(execution: Threads) -> Execution:
    """The persistent threads that replace `execution`, or itself if it has an initializer or is of a subclass."""
    if type(execution) is not Threads or execution._initializer is not None:
        return execution
    return pinned_threads(usable_threads(execution.workers))


_update_small_size()
