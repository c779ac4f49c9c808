"""A backend of joblib: `joblib.Parallel` on the workers of an execution. Importing this module registers it.

>>> import joblib
>>> import parcount as pc
>>> import parcount.joblib
>>> with pc.Threads(2) as threads, joblib.parallel_config(backend="parcount", on=threads):
...     joblib.Parallel()(joblib.delayed(abs)(x) for x in [-1, -2, 3])
[1, 2, 3]
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Any

from joblib.parallel import AutoBatchingMixin, ParallelBackendBase, register_parallel_backend

from parcount.execution.arguments import check_execution
from parcount.execution.base import Execution
from parcount.execution.serial import Serial
from parcount.execution.threads import Threads


class ExecutionBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]
    """Runs the batches of `joblib.Parallel` on an execution.

    Outside the ``with`` block of the execution, each call of `joblib.Parallel`, or its ``with`` block, starts and ends
    the workers. The number of jobs is the execution's `concurrency`, whatever ``n_jobs`` is.

    Parameters
    ----------
    on : Execution
        The execution.
    **options
        As for every backend of joblib.

    Raises
    ------
    TypeError
        If `on` is not an execution.

    Notes
    -----
    An exception ends the other batches: worker processes that have one are killed and replaced, and compiled loops in
    threads return. joblib 1.6 gives the rest of a call that failed to the next call of the same `joblib.Parallel`.
    """

    default_n_jobs = -1
    supports_retrieve_callback = True

    def __init__(self, on: Execution, **options: Any) -> None:
        check_execution(on)
        super().__init__(**options)
        self.on = on
        self.uses_threads = self.supports_sharedmem = isinstance(on, Serial | Threads)
        self._workers = ExitStack()
        self._ends: dict[Future[Any], Callable[[], object]] = {}

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Return the number of calls that run at the same time."""
        if n_jobs == 0:
            raise ValueError("n_jobs must not be 0")
        return self.on.concurrency

    def configure(self, n_jobs: int = 1, parallel: Any = None, **_options: Any) -> int:
        """Start the workers, unless the execution is open."""
        self.parallel = parallel
        self._workers.enter_context(self.on)
        return self.effective_n_jobs(n_jobs)

    def terminate(self) -> None:
        """End the workers, unless the execution is open elsewhere."""
        self._workers.close()

    def submit(self, func: Callable[[], Any], callback: Callable[[Any], object] | None = None) -> Future[Any]:
        """Submit a batch."""
        future, end = self.on._submit_call(func, (), {})
        self._ends[future] = end
        future.add_done_callback(self._ends.pop)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    apply_async = submit  # its name before joblib 1.5

    def retrieve_result_callback(self, out: Future[Any]) -> Any:
        """Return the result of a batch, or raise its exception."""
        return out.result()

    def abort_everything(self, ensure_ready: bool = True) -> None:  # noqa: ARG002
        """End all batches."""
        for end in list(self._ends.values()):
            end()


register_parallel_backend("parcount", ExecutionBackend)
