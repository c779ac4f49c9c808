"""The calling thread does everything itself: the baseline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

from parcount.execution.base import Execution


class Serial(Execution):
    """One worker: the calling thread.

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

    def _map(self, function: Callable[[Any], Any], items: Sequence[Any], once: bool) -> list[Any]:  # noqa: ARG002
        return [function(item) for item in items]

    def _together(self, function: Callable[[Any], Any], items: Sequence[Any], once: bool) -> tuple[list[Any], float]:
        opened = perf_counter()
        return self._map(function, items, once), opened
