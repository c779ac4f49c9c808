"""Progress in one line of text, without libraries that take long to import."""

from __future__ import annotations

import signal
from time import monotonic

from parcount.report.units import format_bytes, format_seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType
    from typing import Any, Self, TextIO

FIRST_SECONDS = 1.0
"""What takes less has no progress line."""

INTERVAL = 0.2
"""Seconds between two lines."""

SIGNALS = ("SIGUSR1", "SIGINFO")
"""Signals after which a line is printed, where the system has them; SIGINFO is Ctrl-T on BSD and macOS."""


class ProgressLine:
    """Bytes that have been read, and the time that is left; a context manager.

    On a terminal, one line is written over and over. On the signals `SIGNALS`, a line is written anywhere.

    Parameters
    ----------
    command : str
        What the lines begin with.
    stream : file
        Where they are written, standard error for example; None for nowhere.
    """

    def __init__(self, command: str, stream: TextIO | None) -> None:
        self._command = command
        self._stream = stream
        self._begun = monotonic()
        self._next = self._begun + FIRST_SECONDS if stream is not None and stream.isatty() else None
        self._shown = False
        self._done = self._total = 0
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for name in SIGNALS:
            if (number := getattr(signal, name, None)) is not None:
                try:
                    self._handlers[number] = signal.signal(number, self._print)
                except ValueError:  # not the main thread
                    break
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._clear()

    def __call__(self, done: int, total: int) -> None:
        """Take note of the progress."""
        self._done, self._total = done, total
        if self._next is not None and (now := monotonic()) >= self._next:
            self._next = now + INTERVAL
            self._shown = True
            self._write(f"\r{self.text()}\x1b[K")

    def text(self) -> str:
        """Return the line."""
        passed = max(monotonic() - self._begun, 1e-6)
        parts = [format_bytes(self._done)]
        if self._total:
            parts[0] += f" of {format_bytes(self._total)}, {100 * self._done // self._total} %"
        parts += [f"{format_bytes(self._done / passed)}/s", f"{format_seconds(passed)} passed"]
        if 0 < self._done < self._total:
            parts.append(f"{format_seconds(passed * (self._total - self._done) / self._done)} left")
        return f"{self._command}: {', '.join(parts)}"

    def _print(self, _number: int, _frame: FrameType | None) -> None:
        self._clear()
        self._write(f"{self.text()}\n")

    def _clear(self) -> None:
        if self._shown:
            self._shown = False
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        if self._stream is not None:
            try:
                self._stream.write(text)
                self._stream.flush()
            except (OSError, RuntimeError):  # closed, or the signal came while the stream was written
                pass
