"""Fetching pages, one call after another or as tasks of an event loop, by the two interfaces of one library.

Every worker, be it a thread, a process or a task, has a client of its own with one persistent connection, so executions
differ only in what waits.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from typing import Any

import httpx

from parcount.studies.io.server import page

TIME_LIMIT = 60.0
"""Time limit of a page in seconds, without the server's delay."""

_own = threading.local()
"""The client of this thread, or its event loop and the clients of its tasks."""


def fetch(address: str, delay: float, pages: range) -> list[bytes]:
    """Fetch pages, one after the other, and return their digests."""
    if not hasattr(_own, "client"):
        _own.client = httpx.Client(**_settings(address, delay))
    return [_digest(_own.client.get(f"/{number}")) for number in pages]


def fetch_by_tasks(address: str, delay: float, shares: Sequence[range]) -> list[bytes]:
    """Fetch shares of pages, a task of this thread's event loop for each."""
    if not hasattr(_own, "loop"):
        _own.loop = asyncio.Runner()
        _own.clients = [httpx.AsyncClient(**_settings(address, delay)) for _ in shares]
    digests: list[bytes] = _own.loop.run(_together(_own.clients, shares))
    return digests


def close_clients(_: object = None) -> None:
    """Close the clients and the event loop of this thread."""
    if hasattr(_own, "client"):
        _own.client.close()
    if hasattr(_own, "loop"):
        _own.loop.run(_close(_own.clients))
        _own.loop.close()
    _own.__dict__.clear()


def lost(digests: Sequence[bytes], pages: range) -> int:
    """Return how many pages, given their digests in order, are missing or not what the server must have sent."""
    right = sum(digest == _right(number) for digest, number in zip(digests, pages, strict=False))
    return max(len(pages), len(digests)) - right


def _settings(address: str, delay: float) -> dict[str, Any]:
    # The server is on this machine: no proxy and no certificates.
    return {"base_url": address, "timeout": delay + TIME_LIMIT, "trust_env": False, "verify": False}


async def _together(clients: Sequence[httpx.AsyncClient], shares: Sequence[range]) -> list[bytes]:
    fetched = await asyncio.gather(*map(_fetch, clients, shares))
    return [digest for share in fetched for digest in share]


async def _fetch(client: httpx.AsyncClient, pages: range) -> list[bytes]:
    return [_digest(await client.get(f"/{number}")) for number in pages]


async def _close(clients: Sequence[httpx.AsyncClient]) -> None:
    for client in clients:
        await client.aclose()


def _digest(response: httpx.Response) -> bytes:
    response.raise_for_status()
    return sha256(response.content).digest()


@cache
def _right(number: int) -> bytes:
    return sha256(page(number)).digest()
