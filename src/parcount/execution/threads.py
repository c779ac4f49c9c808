"""Threads of this process: no copies, and truly parallel where the function releases the GIL or there is none."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from parcount.execution.pool import Pool


class Threads(Pool):
    """`workers` threads, from the standard library's pool.

    Python code in them takes turns under the GIL; compiled code that releases it runs on all cores. An exception
    ends the call after the items already begun; those not yet begun are dropped.

    Parameters
    ----------
    workers : int, optional
        How many threads; all available cores by default.
    initializer : callable, optional
        What each thread calls before its first item. What it raises ends every call.
    initargs : tuple, optional
        With what.

    Examples
    --------
    >>> import parcount as pc
    >>> with pc.Threads(2) as threads:
    ...     threads.map(sum, [[1, 2], [3, 4]])
    [3, 7]
    """

    name = "threads"

    def _set_up(self) -> None:
        if self._initializer is not None:
            self._initializer(*self._initargs)

    def _work(self, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        if self._initializer is None:
            return function

        def checked(item: Any) -> Any:
            if self._broken is not None:
                raise self._broken
            return function(item)

        return checked

    def _hold(self, function: Callable[[Any], Any]) -> Callable[[Any], Callable[[], Any]]:
        return partial(partial, self._work(function))
