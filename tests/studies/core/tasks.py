"""Tasks of a process group, in a module that processes import quickly."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def put(queue: Any, item: Any) -> Iterator[Callable[[], None]]:
    if item == "raise, before the others begin, what cannot be pickled":
        raise type("Local", (Exception,), {})("local")

    def task() -> None:
        if item == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if item == "hang":
            signal.pause()
        queue.put((item, os.getpid()))

    yield task
