"""Executions in asyncio programs: `run` awaits one call, `amap` the results of many."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from parcount.execution.arguments import check_callable, check_execution

if TYPE_CHECKING:
    from parcount.execution.base import Execution

Result = TypeVar("Result")


async def run(function: Callable[..., Result], /, *args: Any, on: Execution, **kwargs: Any) -> Result:
    """Call ``function(*args, **kwargs)`` on a worker of an execution without blocking the event loop.

    If the task is cancelled, the call ends: the worker process is killed and replaced, and compiled loops in a thread
    return. Python code in a thread, and a call on an adopted executor, run to their end.

    Parameters
    ----------
    function : callable
        The function.
    *args, **kwargs
        Its arguments.
    on : Execution
        Its workers. Outside its ``with`` block they are started and ended for this call, in another thread.

    Returns
    -------
    object
        The result.

    Raises
    ------
    TypeError
        If `function` is not callable, or `on` is not an execution. For processes and interpreters: if the function, an
        argument or the result cannot be pickled.
    WorkerDied
        If the worker process died, or exceeded the timeout, and no `retries` are left.
    Exception
        The exception of the function; the cause is the worker's traceback if the worker is a process or an
        interpreter.

    Notes
    -----
    If `Processes` has several threads in a process, the other calls of a process that is killed are run again. With
    ``retries=0`` they may not be: then a cancelled call runs to its end while the process has others.

    `Serial` runs the call in the thread of the event loop, which it blocks. Threads run Python code one at a time under
    the GIL; the event loop takes its turn with them.

    Examples
    --------
    >>> import asyncio
    >>> import parcount as pc
    >>> asyncio.run(pc.run(pow, 2, 10, on=pc.Threads(2)))
    1024
    """
    check_callable(function)
    check_execution(on)
    async with _entered(on):
        submitted = on._submit_call(function, args, kwargs)
        try:
            result: Result = await asyncio.wrap_future(submitted.future)
        except asyncio.CancelledError:
            submitted.end()
            raise
        return result


async def amap(
    on: Execution, function: Callable[[Any], Result], items: Iterable[Any] | AsyncIterable[Any]
) -> AsyncGenerator[Result, None]:
    """Implement `Execution.amap`."""
    source = aiter(items) if isinstance(items, AsyncIterable) else _iterate(items)
    calls: deque[tuple[asyncio.Future[Any], Callable[[], object]]] = deque()
    coming: asyncio.Future[Any] | None = None
    failure: BaseException | None = None
    ended = False
    async with _entered(on):
        try:
            while True:
                if coming is None and not (ended or failure) and len(calls) < on._max_ahead:
                    coming = asyncio.ensure_future(anext(source, _END))
                awaited = {future for future in (coming, calls[0][0] if calls else None) if future is not None}
                if not awaited:
                    break
                await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
                if coming is not None and coming.done():
                    item, coming = coming, None
                    try:
                        ended = item.result() is _END
                        if not ended:
                            future, end = on._submit_call(function, (item.result(),), {})
                            calls.append((asyncio.wrap_future(future), end))
                    except Exception as error:  # noqa: BLE001 - raised after the results of the items before it
                        failed = _failed(error)
                        calls.append((failed, failed.cancel))
                        ended = True
                if calls and calls[0][0].done():
                    done, _ = calls.popleft()
                    failure = failure or done.exception()
                    if failure is None:
                        yield done.result()
                    elif coming is not None:  # the iterable may be waiting for this result
                        coming.cancel()
                        coming = None
        finally:
            if coming is not None:
                coming.cancel()
            for wrapped, end in calls:
                wrapped.cancel()
                end()
    if failure is not None:
        raise failure


def _failed(error: Exception) -> asyncio.Future[Any]:
    future = asyncio.get_running_loop().create_future()
    future.set_exception(error)
    return future


_END: Any = object()


async def _iterate(items: Iterable[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item


@asynccontextmanager
async def _entered(on: Execution) -> AsyncIterator[None]:
    """Use the workers of an execution, or start and end them in a thread, since both take a while."""
    if on._entered:
        with on:
            yield
        return
    opening = asyncio.ensure_future(asyncio.to_thread(on.__enter__))
    try:
        await asyncio.shield(opening)
    except asyncio.CancelledError:
        await asyncio.wait([opening])
        if opening.exception() is None:
            await asyncio.to_thread(on.__exit__, *sys.exc_info())
        raise
    try:
        yield
    finally:
        await asyncio.to_thread(on.__exit__, *sys.exc_info())
