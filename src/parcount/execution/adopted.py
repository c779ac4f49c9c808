"""The execution `Adopted`: an executor of the standard library or another one, such as loky's, dask's or MPI's."""

from __future__ import annotations

import concurrent.futures
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pickle import PicklingError
from typing import Any

from parcount.execution.errors import WorkerDied
from parcount.execution.futures import FutureExecution, FuturesStream
from parcount.execution.stream import Function

UNPICKLABLE = ("cannot pickle", "can't pickle", "could not pickle", "could not serialize")
"""Parts of the messages of executors' exceptions for objects that cannot be pickled."""

_Interpreters: Any = getattr(concurrent.futures, "InterpreterPoolExecutor", ())  # a ThreadPoolExecutor


class Adopted(FutureExecution):
    """The workers of any `concurrent.futures.Executor`.

    Such as `ProcessPoolExecutor`, ``loky.get_reusable_executor()``, ``client.get_executor()`` of ``dask.distributed``
    and the executors of ``mpi4py.futures``. The executor is never shut down here: a ``with`` block neither starts nor
    ends anything.

    The executor sends the function and the items. An array from `shared_array` is copied to its workers, and what they
    write into it is lost. Jobs that are counted in place are therefore refused, unless the workers are threads of this
    process.

    Parameters
    ----------
    executor : concurrent.futures.Executor
        The executor.
    workers : int, optional
        The number of parts into which work is divided. By default the number of workers that the executor has now; of
        threads, for dask.

    Raises
    ------
    TypeError
        If `executor` is not an executor, or `workers` is not an integer.
    ValueError
        If the number of workers is not given and the executor has none, or does not report it. From a call: if
        ``idempotent=False`` is given for dask, which starts an item again if its worker is lost.
    WorkerDied
        From a call: if the executor broke, or gave up an item, because workers ended; its own exception is the cause.
        MPI ends all processes, the caller too, if it loses one.
    RuntimeError
        From a call: if the executor has been shut down, or has cancelled an item.

    Notes
    -----
    Only the executor retries items. The standard library's, loky's and MPI's start each item once, so that
    ``idempotent=False`` changes nothing; for others, see their documentation.

    Executors have no barrier: `together` submits all items at once, and returns the time before the first of them.
    The time since then includes submitting the items, and waiting if the executor is busy.

    An exception ends the call after the items that have been started, as far as the executor tells. Dask does not:
    its items may still run for a while.

    Large arrays are copied into every message: arrays that are on a cluster are better counted there, by `bincount` of
    a dask array.

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
                f"{type(executor).__name__} has no workers, or does not report their number; give workers="
            )
        return workers

    def _open_stream(self, function: Function, idempotent: bool) -> FuturesStream:
        if not idempotent and self._dask:
            raise ValueError("dask starts an item again if its worker is lost, which idempotent=False forbids")
        return super()._open_stream(function, idempotent)

    def _submit(self, function: Function, item: Any) -> Future[Any]:
        try:
            future: Future[Any]
            if self._dask:  # with pure=True equal items are computed once, and all are read to be compared
                future = self.executor.submit(_Portable(function), item, pure=False)
            else:
                future = self.executor.submit(function, item)
            return future
        except BrokenExecutor:
            raise
        except Exception as error:
            if isinstance(error, RuntimeError) or (self._dask and self.executor._client.status == "closed"):
                raise RuntimeError(f"the adopted {self._kind} accepts no items: {error}") from error
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
                f"item {position}, the function or the result cannot be sent to or from the workers of {self._kind}"
            )


@dataclass(frozen=True)
class _Portable:
    """A function that checks whether its result can be pickled: if dask cannot send a result, the call never ends."""

    function: Function

    @property
    def __name__(self) -> str:
        """The name that dask's dashboard shows."""
        return str(getattr(self.function, "__name__", type(self.function).__name__))

    def __call__(self, item: Any) -> Any:
        from cloudpickle import dumps  # as dask does

        result = self.function(item)
        dumps(result, protocol=5, buffer_callback=lambda _: None)  # copies no array
        return result
