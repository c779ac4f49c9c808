"""Waiting for connections and the ends of processes that are registered once, rather than at each wait."""

from __future__ import annotations

import select
import sys
from multiprocessing import connection
from typing import Any

from parcount.execution.fair_lock import MAX_WAIT
from parcount.execution.processes.channel import seconds_until


class Poller:
    """Waits for `multiprocessing` connections and process sentinels.

    As `multiprocessing.connection.wait`, which makes a new selector for each call: that takes longer than a small
    message. One thread at a time may use it.
    """

    def __init__(self) -> None:
        self._fds: dict[Any, int] = {}
        self._sources: dict[int, Any] = {}
        self._poll: Any = None if sys.platform == "win32" else select.poll()

    def register(self, *sources: Any) -> None:
        """Wait for these too."""
        for source in sources:
            fd = source if isinstance(source, int) else source.fileno()
            self._fds[source] = fd
            self._sources[fd] = source
            if self._poll is not None:
                self._poll.register(fd, select.POLLIN)

    def unregister(self, *sources: Any) -> None:
        """Wait for these no longer; call it before they are closed."""
        for source in sources:
            if (fd := self._fds.pop(source, None)) is not None:
                del self._sources[fd]
                if self._poll is not None:
                    self._poll.unregister(fd)

    def wait(self, deadline: float | None) -> list[Any]:
        """Return those that are ready, or none at the deadline, a time of `time.monotonic`.

        One system call takes at most `MAX_WAIT`, so that Ctrl-C is not missed.
        """
        while True:
            seconds = seconds_until(deadline)
            ready = self._wait(min(seconds, MAX_WAIT))
            if ready or not seconds:
                return ready

    def _wait(self, seconds: float) -> list[Any]:
        if self._poll is None:
            return list(connection.wait(self._fds, seconds))
        return [self._sources[fd] for fd, _ in self._poll.poll(1000 * seconds)]
