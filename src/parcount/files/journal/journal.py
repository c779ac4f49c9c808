"""`Journal`: one file that many threads and processes append records to."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any, ClassVar, Literal, Protocol, Self
from weakref import WeakSet, finalize

from parcount.files.journal.format import refuse_windows, sync_folder
from parcount.files.journal.lock import LockWriter
from parcount.files.journal.reader import JournalReader, Record
from parcount.files.journal.reserve import ReserveWriter

How = Literal["auto", "lock", "queue", "reserve"]
Sync = Literal["none", "close", "record"] | float


class Writer(Protocol):
    """A way to append to the file. `Journal` calls it from any thread."""

    how: ClassVar[str]
    """Its name."""

    def append(self, data: Any) -> int:
        """Append a record; return its sequence number."""

    def flush(self) -> None:
        """Wait until all records that were appended are in the file."""

    def sync(self) -> None:
        """Wait until all records that were appended are on the disk."""

    def fileno(self) -> int:
        """Return the file descriptor."""

    def close(self) -> None:
        """Close the file, after which `append` raises ValueError. It can be called repeatedly."""

    def after_fork(self) -> None:
        """Become a writer of its own; called in a forked child."""


class Journal:
    """A file that many threads and processes append records to.

    A record is there for every reader when `append` returns; with ``how="queue"``, soon after, or when `flush` returns.
    A writer that is killed in `append` costs at most the record that it appends: no other is lost, torn or duplicated.

    Parameters
    ----------
    path : path
        The file; created if it does not exist.
    how : {"auto", "lock", "queue", "reserve"}, optional
        How writers keep out of each other's way. ``"lock"``: an advisory lock of the file around each record, which
        also works on network file systems. ``"queue"``: a process that writes what the others put into shared memory,
        from where no kill removes it. ``"reserve"``: each record gets space by an atomic addition and is written there,
        without a lock; on Linux, and on local file systems. ``"auto"``: ``"reserve"`` where that is possible, otherwise
        ``"lock"``. All who write a file at the same time must use the same way; it can be another each time.
    sync : {"none", "close", "record"} or float, optional
        When records are written to the disk, which says what a power failure can cost: when the system does it; also
        when the journal is closed; also before each `append` returns; or also after this many seconds. The end of a
        process costs nothing, however it ends.
    text : bool, optional
        Whether the file is to contain lines of text, without anything else: then a record is a line, and a killed
        writer can leave the beginning of one. Not with ``how="reserve"``.

    Raises
    ------
    NotImplementedError
        On Windows.
    OSError
        If the file cannot be opened, or others write it in another way (``EBUSY``).
    ValueError
        If the file is not empty and no journal, of a later version, or damaged in its header.

    See Also
    --------
    JournalReader : Reads it, checks it, and writes its valid records to a new file.

    Notes
    -----
    Any number of threads can use a journal. A pickled journal opens the same file by its path. A forked child is a
    writer of its own. The format is described in ``docs/journal.md``.

    Examples
    --------
    >>> import parcount as pc, tempfile
    >>> with tempfile.TemporaryDirectory() as folder, pc.Journal(f"{folder}/events.log") as journal:
    ...     numbers = [journal.append(b"started"), journal.append(b"ended")]
    ...     [record.data for record in journal]
    [b'started', b'ended']
    """

    def __init__(
        self, path: str | os.PathLike[str], *, how: How = "auto", sync: Sync = "none", text: bool = False
    ) -> None:
        if how not in ("auto", "lock", "queue", "reserve"):
            raise ValueError(f"how must be 'auto', 'lock', 'queue' or 'reserve', not {how!r}")
        if isinstance(sync, str) and sync not in ("none", "close", "record"):
            raise ValueError(f"sync must be 'none', 'close', 'record' or seconds, not {sync!r}")
        if not isinstance(sync, str) and not sync > 0:
            raise ValueError(f"sync must be positive seconds, not {sync}")
        if text and how == "reserve":
            raise ValueError(
                "a killed writer that reserves would leave zeros between the lines: text needs another way"
            )
        self.path = os.path.abspath(path)  # noqa: PTH100 - Path would resolve links, and be slower
        self.sync_policy = sync
        self.text = text
        self._writer = _open_writer(self.path, how, sync == "record", text)
        self.how = self._writer.how
        self._syncer = None if isinstance(sync, str) else _Syncer(self._writer, sync)
        self._finalizer = finalize(self, _close, self._writer, self._syncer, sync != "none")
        _journals.add(self)
        if sync != "none":
            sync_folder(self.path)

    def append(self, data: Any) -> int:
        """Append a record.

        Parameters
        ----------
        data : bytes-like, or str for a text journal
            At most 4 GiB - 1 byte; text must not contain a newline, and is encoded as UTF-8.

        Returns
        -------
        int
            The sequence number of the record among those of its writer.

        Raises
        ------
        OSError
            If it cannot be written, for example because the disk is full. The journal stays valid, and is as before.
        TypeError
            If `data` is of another type.
        ValueError
            If it is too long, contains a newline in a text journal, or the journal is closed.

        Notes
        -----
        The record is in the file when this returns; with ``sync="record"`` it is on the disk. With ``how="queue"`` it
        is in memory that survives the kill of this process and of the writer process: it gets into the file as soon as
        there is a writer process, at the latest when somebody opens the journal. O(size of the record).
        """
        if self.text:
            data = data.encode() if isinstance(data, str) else bytes(data)
            if b"\n" in data:
                raise ValueError("a record of a text journal is a line: it cannot contain a newline")
        return self._append(data)

    def _append(self, data: Any) -> int:
        """Append a record; to a text journal, also several lines, which lie together."""
        sequence = self._writer.append(data)
        if self._syncer is not None:
            self._syncer.note()
        return sequence

    def fileno(self) -> int:
        """Return the file descriptor, which is negative after `close`."""
        return self._writer.fileno()

    def flush(self) -> None:
        """Wait until all records that this process has appended are in the file: only ``how="queue"`` has others."""
        self._writer.flush()

    def sync(self) -> None:
        """Wait until all records that this process has appended are on the disk."""
        self._writer.sync()

    @property
    def closed(self) -> bool:
        """Whether the journal has been closed."""
        return not self._finalizer.alive

    def close(self) -> None:
        """Close the journal. It can be called repeatedly, and is called when the process ends."""
        self._finalizer()

    def follow(self, timeout: float | None = None) -> Iterator[Record]:
        """Yield the records of all writers, then new ones as they are appended; see `JournalReader.follow`."""
        with JournalReader(self.path, text=self.text) as reader:
            yield from reader.follow(timeout)

    def __iter__(self) -> Iterator[Record]:
        with JournalReader(self.path, text=self.text) as reader:
            yield from reader

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Callable[..., Journal], tuple[Any, ...]]:
        if not self._finalizer.alive:
            raise ValueError("the journal is closed")
        return _reopen, (type(self), self.path, self.how, self.sync_policy, self.text)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path!r}, how={self.how!r}, sync={self.sync_policy!r}, text={self.text})"

    def _after_fork(self) -> None:
        self._writer.after_fork()
        if self._syncer is not None:
            self._syncer.after_fork()


class _Syncer:
    """A thread that writes records to the disk some seconds after they were appended."""

    def __init__(self, writer: Writer, seconds: float) -> None:
        self._writer = writer
        self._seconds = seconds
        self._error: OSError | None = None
        self.after_fork()

    def after_fork(self) -> None:
        self._waiting = False
        self._start = Lock()
        self._stopped = Event()

    def note(self) -> None:
        """Tell that a record was appended. Raises the error of an earlier attempt to write to the disk."""
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        if not self._waiting:
            with self._start:
                if not self._waiting:
                    self._waiting = True
                    try:
                        self._thread = Thread(target=self._run, daemon=True)
                        self._thread.start()
                    except RuntimeError:  # the interpreter ends, which closes the journal
                        self._waiting = False

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        self._stopped.wait(self._seconds)
        self._waiting = False  # before: what is appended meanwhile needs another turn
        try:
            if not self._stopped.is_set():
                self._writer.sync()
        except OSError as error:
            self._error = error


def _open_writer(path: str, how: How, sync: bool, text: bool) -> Writer:
    refuse_windows()
    from parcount.files.journal.queue import QueueWriter, recover  # which Windows cannot import

    recover(path)
    if how == "reserve":
        return ReserveWriter(path, sync=sync)
    if how == "auto" and not text:
        with suppress(OSError):  # the file system cannot do it, or others write the file in another way
            return ReserveWriter(path, sync=sync)
    if how != "queue":
        try:
            return LockWriter(path, sync=sync, text=text)
        except OSError as error:
            if how != "auto" or error.errno != errno.EBUSY:
                raise
    return QueueWriter(path, sync=sync, text=text)


def _reopen(kind: type[Journal], path: str, how: How, sync: Sync, text: bool) -> Journal:
    return kind(path, how=how, sync=sync, text=text)


def _close(writer: Writer, syncer: _Syncer | None, sync: bool) -> None:
    if syncer is not None:
        syncer.stop()
    try:
        if sync:
            writer.sync()
    finally:
        writer.close()


_journals: WeakSet[Journal] = WeakSet()
"""The journals of this process."""


def _after_fork() -> None:
    for journal in list(_journals):
        journal._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
