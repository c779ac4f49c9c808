"""Threads of this process: no copies, and truly parallel where the function releases the GIL or there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from time import perf_counter
from typing import Any

from parcount.execution.base import Execution, check_initializer
from parcount.execution.flow import Call
from parcount.execution.futures import FuturesCall, run


class Threads(Execution):
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

    _pool: ThreadPoolExecutor

    def __init__(
        self,
        workers: int | None = None,
        *,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
    ) -> None:
        super().__init__(workers)
        check_initializer(initializer)
        self._initializer = initializer
        self._initargs = tuple(initargs)
        self._broken: BaseException | None = None

    def _open(self) -> None:
        self._broken = None
        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="parcount", initializer=self._set_up)

    def _close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _call(self, function: Callable[[Any], Any], once: bool) -> Call:  # noqa: ARG002
        return FuturesCall(self._pool.submit, self._checked(function))

    def _map(self, function: Callable[[Any], Any], items: Sequence[Any], once: bool) -> list[Any]:  # noqa: ARG002
        return run(self._pool.submit, self._checked(function), items)

    def _together(self, function: Callable[[Any], Any], items: Sequence[Any], once: bool) -> tuple[list[Any], float]:  # noqa: ARG002
        opened = perf_counter()

        def stamp() -> None:
            nonlocal opened
            opened = perf_counter()

        function = self._checked(function)
        barrier = Barrier(max(1, len(items)), action=stamp)

        def start(item: Any) -> Any:
            barrier.wait()
            return function(item)

        # A thread that could not be started, or Ctrl-C meanwhile: let those go that wait for it.
        return run(self._pool.submit, start, items, give_up=barrier.abort), opened

    def _set_up(self) -> None:
        if self._initializer is not None:
            try:
                self._initializer(*self._initargs)
            except BaseException as error:  # noqa: BLE001 - whatever it is, the caller is who must know
                self._broken = error  # raised here, it would go to the log, and break the pool without a reason

    def _checked(self, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """`function`, unless the initializer has failed."""
        if self._initializer is None:
            return function

        def checked(item: Any) -> Any:
            if self._broken is not None:
                raise self._broken
            return function(item)

        return checked
