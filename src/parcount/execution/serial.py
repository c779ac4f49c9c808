"""The execution `Serial`: the calling thread runs all items."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from parcount.execution.futures import FutureExecution, run_now
from parcount.execution.stream import Function


class Serial(FutureExecution):
    """The calling thread runs all items and submitted calls, one after another.

    Examples
    --------
    >>> import parcount as pc
    >>> pc.Serial().map(len, ["a", "bc"])
    [1, 2]
    """

    name = "serial"

    def __init__(self) -> None:
        super().__init__(1)

    def __repr__(self) -> str:
        return "Serial()"

    @property
    def _max_ahead(self) -> int:
        return 1

    def _submit(self, function: Function, item: Any) -> Future[Any]:
        return run_now(function, item)

    def _run_all(self, function: Function, items: Sequence[Any], idempotent: bool) -> list[Any]:
        return [function(item) for item in items]
