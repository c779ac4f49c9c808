"""The base class of the writers that append to the file themselves."""

from __future__ import annotations

from contextlib import suppress

from parcount.files.journal.format import reopen, sync_to_disk


class FileWriter:
    """A writer whose `append` returns when the record is in the file."""

    _path: str
    _descriptor: int

    def flush(self) -> None:
        """Do nothing: `append` returns when the record is in the file."""

    def sync(self) -> None:
        """Wait until all records are on the disk."""
        if self._descriptor >= 0:
            sync_to_disk(self._descriptor)

    def fileno(self) -> int:
        """Return the file descriptor."""
        return self._descriptor

    def _reopen(self) -> None:
        """Open the file again in a forked child, where the descriptor shares the parent's locks."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            with suppress(OSError):  # then it is closed here
                self._descriptor = reopen(descriptor, self._path)
