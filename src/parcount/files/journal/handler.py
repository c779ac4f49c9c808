"""`JournalHandler`: a logging handler for many processes."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from typing import Any

from parcount.files.journal.journal import How, Journal, Sync


class JournalHandler(logging.Handler):
    """A handler that appends to a text file to which other processes log too.

    The handlers of `logging` write a file from one process only. Each process has a handler like this one for the file:
    by its own configuration, by a fork, or by pickling.

    Parameters
    ----------
    path : path
        The file; created if it does not exist.
    how, sync : optional
        As for `Journal`.
    level : int or str, optional
        The lowest level that is logged.
    encoding : str, optional
        An encoding in which a newline is the byte 10, as in all but UTF-16 and UTF-32.
    errors : str, optional
        What becomes of characters that the encoding lacks: as for `str.encode`.
    reopen : bool, optional
        Whether a file that was renamed or removed, as programs that rotate logs do, is left for a new one: looked at
        before each record, as `logging.handlers.WatchedFileHandler` does.

    Raises
    ------
    NotImplementedError
        On Windows.
    OSError
        If the file cannot be opened, or others write it in another way (``EBUSY``).
    ValueError
        If the file is no text journal, or for a wrong argument.

    See Also
    --------
    Journal : The file.

    Notes
    -----
    The lines of one record, of a message or traceback, lie together: other processes and threads write before or behind
    them. A killed process can leave a part of the record that it was writing, which ends in a line of its own.

    An error while a record is written is handled by `logging.Handler.handleError`, as in other handlers. Any number of
    threads can use a handler; a lock lets them in one by one. A pickled handler has the level, formatter and filters.

    Examples
    --------
    >>> import logging, parcount as pc, pathlib, tempfile
    >>> logger = logging.getLogger("example")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     handler = pc.JournalHandler(f"{folder}/all.log")
    ...     handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    ...     logger.addHandler(handler)
    ...     logger.warning("disk is %d %% full", 93)
    ...     logger.removeHandler(handler)
    ...     handler.close()
    ...     print(pathlib.Path(folder, "all.log").read_text(), end="")
    WARNING disk is 93 % full
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        how: How = "auto",
        sync: Sync = "none",
        level: int | str = logging.NOTSET,
        encoding: str = "utf-8",
        errors: str = "backslashreplace",
        reopen: bool = True,
    ) -> None:
        super().__init__(level)
        if "\n".encode(encoding) != b"\n":
            raise ValueError(f"encoding must be one in which a newline is a single byte, not {encoding!r}")
        self.path = os.path.abspath(path)  # noqa: PTH100 - the working directory may change
        self._how = how
        self._sync = sync
        self.encoding = encoding
        self.errors = errors
        self._reopen = reopen
        self._open()

    def emit(self, record: logging.LogRecord) -> None:
        """Append a record."""
        try:
            if self._reopen and not self._journal.closed and self._is_replaced():
                self._journal.close()
                self._open()
            self._journal._append(self.format(record).encode(self.encoding, self.errors))
        except RecursionError:  # as the handlers of logging do
            raise
        except Exception:  # noqa: BLE001 - whatever it is, the program that logs goes on
            self.handleError(record)

    def flush(self) -> None:
        """Wait until all records of this process are in the file."""
        self._journal.flush()

    def close(self) -> None:
        """Close the file."""
        self._journal.close()
        super().close()

    def __reduce__(self) -> tuple[Callable[..., JournalHandler], tuple[Any, ...]]:
        options = {
            "how": self._how,
            "sync": self._sync,
            "level": self.level,
            "encoding": self.encoding,
            "errors": self.errors,
            "reopen": self._reopen,
        }
        return _rebuild, (type(self), self.path, options, self.name, self.formatter, self.filters)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path} ({logging.getLevelName(self.level)})>"

    def _open(self) -> None:
        self._journal = Journal(self.path, how=self._how, sync=self._sync, text=True)

    def _is_replaced(self) -> bool:
        """Whether the path is not that of the open file any more."""
        try:
            return not os.path.samestat(os.stat(self.path), os.fstat(self._journal.fileno()))  # noqa: PTH116 - faster
        except FileNotFoundError:
            return True


def _rebuild(
    kind: type[JournalHandler],
    path: str,
    options: dict[str, Any],
    name: str | None,
    formatter: logging.Formatter | None,
    filters: Sequence[Any],
) -> JournalHandler:
    handler = kind(path, **options)
    handler.name = name
    handler.setFormatter(formatter)
    for one in filters:
        handler.addFilter(one)
    return handler
