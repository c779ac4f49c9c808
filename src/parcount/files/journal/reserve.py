"""Appending to space of the file that an atomic addition reserves, without a lock: `native/journal_reserve.h`."""

from __future__ import annotations

import os
from secrets import randbits
from threading import Lock
from typing import Any, ClassVar

from parcount._native.journal_blocks import ReserveAppender
from parcount.files.journal.file_writer import FileWriter
from parcount.files.journal.format import OpenFile, leave, open_for_writing, use


class ReserveWriter(FileWriter):
    """A writer that reserves the space of each record."""

    how: ClassVar[str] = "reserve"

    def __init__(self, path: str, *, sync: bool) -> None:
        self._path = path
        self._sync = sync
        self._opening = Lock()
        opened = open_for_writing(path, "reserve")
        self._descriptor = opened.descriptor
        self._appender: ReserveAppender | None = _appender(opened)

    def append(self, data: Any) -> int:
        """Append a record; return its sequence number."""
        appender = self._appender
        if appender is None:
            appender = self._attach()
        sequence = appender.append(data)
        if self._sync:
            self.sync()
        return sequence

    def close(self) -> None:
        """Free the unused space if this is the last writer, and close the file."""
        with self._opening:
            descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        try:
            if self._appender is not None:
                self._appender.detach()
                leave(descriptor)
        finally:
            os.close(descriptor)

    def after_fork(self) -> None:
        """Become a writer of its own in a forked child, with a slot of its own."""
        self._opening = Lock()
        if self._appender is not None:
            self._appender.abandon()
            self._appender = None
        self._reopen()

    def _attach(self) -> ReserveAppender:
        with self._opening:
            if self._appender is None:
                if self._descriptor < 0:
                    raise ValueError("the journal is closed")
                opened = use(self._descriptor, self._path, "reserve")
                self._appender = _appender(opened)
            return self._appender


def _appender(opened: OpenFile) -> ReserveAppender:
    return ReserveAppender(opened.descriptor, opened.slot, opened.marker, randbits(61) << 3)
