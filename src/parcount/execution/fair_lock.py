"""A lock that threads get in the order in which they asked for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Lock

MAX_WAIT = 0.1
"""Seconds of one wait: a signal that arrives just before a thread blocks is not handled before the wait ends."""


class FairLock:
    """A lock for long calls: a thread that releases it and asks again waits behind those that asked before.

    Unlike that of `threading.Lock`, the order is guaranteed: `release` passes the lock on.
    """

    def __init__(self) -> None:
        self._guard = Lock()
        self._held = False
        self._waiting: deque[Lock] = deque()

    @property
    def contended(self) -> bool:
        """Whether a thread waits for the lock."""
        return bool(self._waiting)

    def acquire(self, *, block: bool = True, on_wait: Callable[[], object] | None = None) -> bool:
        """Acquire the lock; returns False if it is held and `block` is false.

        `on_wait` is called before this thread waits, when it is already in the queue.
        """
        with self._guard:
            if not self._held:
                self._held = True
                return True
            if not block:
                return False
            turn = Lock()
            turn.acquire()
            self._waiting.append(turn)
        try:
            if on_wait is not None:
                on_wait()
            while not turn.acquire(timeout=MAX_WAIT):
                pass
        except BaseException:  # such as Ctrl-C
            with self._guard:
                passed_on = turn not in self._waiting
                if not passed_on:
                    self._waiting.remove(turn)
            if passed_on:
                self.release()
            raise
        return True

    def release(self) -> None:
        """Release the lock, or pass it on to the thread that has waited longest."""
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._held = False
