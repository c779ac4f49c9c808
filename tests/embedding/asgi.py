"""The application of uvicorn. Its workers alone own the counters: whichever comes first creates them."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from tests.embedding.work import MARK, Work, attach_cells, attach_tasks, make_cells, make_tasks

Counter = TypeVar("Counter")

work: Work


def open_counter(make: Callable[[str], Counter], attach: Callable[[str], Counter]) -> Counter:
    try:
        return make(os.environ[MARK])
    except FileExistsError:
        return attach(os.environ[MARK])


async def application(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    if scope["type"] == "lifespan":
        await live(receive, send)
    else:
        body = await asyncio.to_thread(work.respond, scope["path"])
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def live(
    receive: Callable[[], Awaitable[dict[str, Any]]], send: Callable[[dict[str, Any]], Awaitable[None]]
) -> None:
    """Open the counters, and close them at the end: uvicorn's workers end by a signal, without clean-up."""
    global work
    assert (await receive())["type"] == "lifespan.startup"
    with open_counter(make_tasks, attach_tasks) as tasks, open_counter(make_cells, attach_cells) as cells:
        work = Work(tasks, cells)
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
    await send({"type": "lifespan.shutdown.complete"})
