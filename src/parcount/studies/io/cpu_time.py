"""What work costs the thread that does it, wherever that is."""

from __future__ import annotations

from collections.abc import Callable
from time import thread_time
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def with_cpu_time(function: Callable[[Item], Result], item: Item) -> tuple[Result, float]:
    """What a function returns, and the seconds of CPU time that this thread took for it."""
    before = thread_time()
    result = function(item)
    return result, thread_time() - before
