"""Threads of this process: no copies, and truly parallel where the function releases the GIL or there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Barrier
from time import perf_counter
from typing import Any

from parcount.execution.base import Execution


class Threads(Execution):
    """`workers` threads, from the standard library's pool.

    Python code in them takes turns under the GIL; compiled code that releases it runs on all cores. An exception
    ends the call after the items already begun; those not yet begun are dropped.

    Parameters
    ----------
    workers : int, optional
        How many threads; all available cores by default.

    Examples
    --------
    >>> import parcount as pc
    >>> with pc.Threads(2) as threads:
    ...     threads.map(sum, [[1, 2], [3, 4]])
    [3, 7]
    """

    name = "threads"

    _pool: ThreadPoolExecutor

    def _open(self) -> None:
        self._pool = ThreadPoolExecutor(self.workers, thread_name_prefix="parcount")

    def _close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _map(self, function: Callable[[Any], Any], items: Sequence[Any], once: bool) -> list[Any]:  # noqa: ARG002
        return self._run(function, items)

    def _together(self, function: Callable[[Any], Any], items: Sequence[Any], once: bool) -> tuple[list[Any], float]:  # noqa: ARG002
        opened = perf_counter()

        def stamp() -> None:
            nonlocal opened
            opened = perf_counter()

        barrier = Barrier(max(1, len(items)), action=stamp)

        def start(item: Any) -> Any:
            barrier.wait()
            return function(item)

        # A thread that could not be started, or Ctrl-C meanwhile: let those go that wait for it.
        return self._run(start, items, give_up=barrier.abort), opened

    def _run(
        self, function: Callable[[Any], Any], items: Sequence[Any], give_up: Callable[[], None] = lambda: None
    ) -> list[Any]:
        futures: list[Future[Any]] = []
        try:
            futures.extend(self._pool.submit(function, item) for item in items)
            return [futures[position].result() for position in range(len(futures))]
        except BaseException:
            give_up()
            while futures:  # from the last on: those not begun are dropped before those begun are waited for
                _end(futures.pop())
            raise


def _end(future: Future[Any]) -> None:
    if not future.cancel():
        wait([future])
