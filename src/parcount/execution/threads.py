"""The execution `Threads`: threads of this process, which share its memory."""

from __future__ import annotations

from parcount.execution.pool import Pool


class Threads(Pool):
    """`workers` threads of this process.

    Python code runs in one thread at a time under the GIL; compiled code that releases the GIL runs on all cores. An
    exception ends the call after the items that have been started; the others are dropped. In a worker,
    `available_cores` is the worker's share: the caller's cores divided by `workers`, at least one.

    Parameters
    ----------
    workers : int, optional
        The number of threads; all available cores by default.
    initializer : callable, optional
        Called in each thread before its first item. An exception in it ends every call.
    initargs : tuple, optional
        The arguments of the initializer.

    Raises
    ------
    TypeError
        If `workers` is not an integer, or `initializer` is not callable.
    ValueError
        If `workers` is less than one.

    Examples
    --------
    >>> import parcount as pc
    >>> with pc.Threads(2) as threads:
    ...     threads.map(sum, [[1, 2], [3, 4]])
    [3, 7]
    """

    name = "threads"
