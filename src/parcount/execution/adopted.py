"""An executor that somebody else has made, and will end: of the standard library, loky's, dask's, MPI's."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pickle import PicklingError
from typing import Any

from parcount.execution.errors import WorkerDied
from parcount.execution.futures import FutureExecution, FuturesStream

UNPICKLABLE = ("cannot pickle", "can't pickle", "could not pickle", "could not serialize")
"""What executors say, each in its own exception, of what does not pickle."""

_Interpreters: Any = getattr(concurrent.futures, "InterpreterPoolExecutor", ())  # 3.14's: threads that share nothing


class Adopted(FutureExecution):
    """The workers of any `concurrent.futures.Executor`.

    `ProcessPoolExecutor`, ``loky.get_reusable_executor()``, ``client.get_executor()`` of ``dask.distributed``, the
    executors of ``mpi4py.futures``. It is never shut down here: a ``with`` neither starts nor ends anything.

    The function and the items travel as the executor sends them. What is an array of `shared_array` here is an
    ordinary copy there, and what a worker writes into it is lost; only what the function returns comes back. So
    workloads that are counted in place are refused, unless the workers are threads of this process.

    Parameters
    ----------
    executor : concurrent.futures.Executor
        Whose workers these are.
    workers : int, optional
        Into how many parts to divide work. By default as many as the executor has workers now: dask's, its threads.

    Raises
    ------
    TypeError
        If `executor` is not an executor, or `workers` is not an integer.
    ValueError
        If the executor does not tell how many workers it has, or tells of none. From a call with
        ``idempotent=False``: if it is dask's, which begins an item again whose worker is lost.
    WorkerDied
        From a call: if the executor broke, or gave an item up, because workers ended; the executor's own exception is
        its cause, and no other item is tried again. Where MPI loses a process it ends them all, the caller too.
    RuntimeError
        From a call: if the executor takes no items, having been shut down, or has cancelled one.

    Notes
    -----
    Retries are the executor's own. Those of the standard library, loky's and MPI's begin each item once, so that
    ``idempotent=False`` changes nothing; of an executor that is none of these, its documentation must tell.

    Executors have no barrier. `together` hands all items over at once, and what it gives as the instant when they
    opened is that before the first was handed over: what passes from then on is work, and the handing out of it, and
    should the executor have other things to do, waiting.

    An exception ends the call once the items already begun are done, as far as the executor says: dask tells nobody
    what it has begun, so its items are given up, and may be at work for a while yet.

    Large arrays are copied into every message: those that lie on a cluster already are better counted there
    (`bincount` of a dask array).

    Examples
    --------
    >>> import parcount as pc
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> with ThreadPoolExecutor(2) as executor:
    ...     pc.bincount([0, 1, 1, 3], on=pc.Adopted(executor))
    array([1, 2, 0, 1])
    """

    name = "adopted"
    parts_per_worker = 4

    def __init__(self, executor: Executor, workers: int | None = None) -> None:
        if not isinstance(executor, Executor):
            hint = "; a dask client has one: client.get_executor()" if hasattr(executor, "get_executor") else ""
            raise TypeError(f"Adopted takes a concurrent.futures.Executor, not {executor!r}{hint}")
        self._dask = type(executor).__module__.partition(".")[0] == "distributed"
        super().__init__(self._count(executor) if workers is None else workers)
        self.executor: Any = executor
        self._kind = type(executor).__name__
        self.shares_memory = isinstance(executor, ThreadPoolExecutor) and not isinstance(executor, _Interpreters)

    def __repr__(self) -> str:
        return f"Adopted({self.executor!r}, {self.workers})"

    def _count(self, executor: Any) -> int:
        try:
            workers = int(sum(executor._client.ncores().values()) if self._dask else executor._max_workers)
        except AttributeError:
            workers = 0
        if workers < 1:
            raise ValueError(
                f"{type(executor).__name__} tells of no workers: it has none yet, or none any more, or does not say; "
                "give workers="
            )
        return workers

    def _open_stream(self, function: Callable[[Any], Any], idempotent: bool) -> FuturesStream:
        if not idempotent and self._dask:
            raise ValueError("dask starts an item again if its worker is lost, which idempotent=False forbids")
        return super()._open_stream(function, idempotent)

    def _submit(self, function: Callable[[Any], Any], item: Any) -> Future[Any]:
        try:
            future: Future[Any]
            if self._dask:  # which takes two equal items for one, and reads all of them to see
                future = self.executor.submit(_Portable(function), item, pure=False)
            else:
                future = self.executor.submit(function, item)
            return future
        except BrokenExecutor:
            raise
        except Exception as error:
            if isinstance(error, RuntimeError) or (self._dask and self.executor._client.status == "closed"):
                raise RuntimeError(f"the adopted {self._kind} takes no items: {error}") from error
            raise

    def _translate(self, position: int, error: BaseException) -> None:
        if isinstance(error, BrokenExecutor):
            raise WorkerDied(position, None, executor=self._kind) from error
        if self._dask and type(error).__name__ == "KilledWorker":
            tries = error.allowed_failures + 1  # type: ignore[attr-defined]
            raise WorkerDied(position, None, tries, executor=self._kind) from error
        if isinstance(error, CancelledError):
            raise RuntimeError(f"the adopted {self._kind} has cancelled item {position}") from error
        of_its_kind = isinstance(error, TypeError | AttributeError | PicklingError)
        if of_its_kind and any(words in str(error).lower() for words in UNPICKLABLE):
            error.add_note(
                f"item {position}, the function or the result cannot travel to or from the workers of {self._kind}"
            )


@dataclass(frozen=True)
class _Portable:
    """A function whose result is looked at before it travels: dask never answers if it then does not pickle."""

    function: Callable[[Any], Any]

    @property
    def __name__(self) -> str:
        """What the dashboard shows."""
        return str(getattr(self.function, "__name__", type(self.function).__name__))

    def __call__(self, item: Any) -> Any:
        from cloudpickle import dumps  # as dask does

        result = self.function(item)
        dumps(result, protocol=5, buffer_callback=lambda _: None)  # copies no array
        return result
