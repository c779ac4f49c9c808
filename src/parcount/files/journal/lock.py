"""Appending under an advisory lock of the file, which the kernel releases when its holder ends."""

from __future__ import annotations

import os
from secrets import randbits
from threading import Lock
from typing import Any, ClassVar

from parcount._native.journal_blocks import append_line, append_locked
from parcount.files.journal.file_writer import FileWriter
from parcount.files.journal.format import open_for_writing, use


class LockWriter(FileWriter):
    """A writer that locks the file for each record."""

    how: ClassVar[str] = "lock"

    def __init__(self, path: str, *, sync: bool, text: bool) -> None:
        self._path = path
        self._sync = sync
        self._text = text
        self._mutex = Lock()  # threads of one process have the file lock together
        self._descriptor = -1
        self._attached = False
        self._open()

    def append(self, data: Any) -> int:
        """Append a record; return its sequence number."""
        with self._mutex:
            if not self._attached:
                self._attach()
            if self._text:
                append_line(self._descriptor, data)
            else:
                append_locked(self._descriptor, self._marker, self._writer, self._sequence, data)
            self._sequence += 1
            sequence = self._sequence - 1
        if self._sync:
            self.sync()
        return sequence

    def close(self) -> None:
        """Close the file."""
        with self._mutex:
            descriptor, self._descriptor, self._attached = self._descriptor, -1, False
        if descriptor >= 0:
            os.close(descriptor)

    def after_fork(self) -> None:
        """Become a writer of its own in a forked child, which shares the parent's locks until it reopens the file."""
        self._mutex = Lock()
        self._attached = False
        self._reopen()

    def _open(self) -> None:
        opened = open_for_writing(self._path, "lock", text=self._text)
        self._descriptor, self._marker = opened.descriptor, opened.marker
        self._start()

    def _attach(self) -> None:
        if self._descriptor < 0:
            raise ValueError("the journal is closed")
        use(self._descriptor, self._path, "lock", text=self._text)
        self._start()

    def _start(self) -> None:
        self._writer = randbits(64)
        self._sequence = 0
        self._attached = True
