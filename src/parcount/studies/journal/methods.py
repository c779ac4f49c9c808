"""Ways for many workers to append to one file: those of `parcount.Journal`, and those that people write.

Each writer appends records one after the other. What a worker process imports is at the level of this module.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from logging.handlers import QueueHandler, QueueListener
from pathlib import Path
from threading import Semaphore
from typing import Any, NamedTuple

from parcount.files.journal.journal import How, Journal
from parcount.files.journal.reader import JournalReader
from parcount.studies.core.process_group import TIME_LIMIT

THREADS, PROCESSES = "threads", "processes"

WAYS: tuple[How, ...] = ("reserve", "lock", "queue")
"""The ways of `parcount.Journal`."""

END = None
"""What a writer puts into a queue when it has put all its records."""

LAST = ""
"""The message that a writer logs last, where a listener writes."""


class Target(NamedTuple):
    """Where records go.

    Attributes
    ----------
    path : Path
        The file.
    sync : bool
        Whether each append returns only when its record would survive a loss of power.
    journal : Journal or None
        What all writers share, if that is more than the path.
    """

    path: Path
    sync: bool
    journal: Journal | None = None


class Writer(NamedTuple):
    """How a writer appends a record, and what it calls after the last."""

    append: Callable[[Any], object]
    finish: Callable[[], object]


def append_all(writer: Writer, records: Sequence[Any]) -> None:
    """Append records one after the other."""
    append, finish = writer
    try:
        for record in records:
            append(record)
    finally:
        finish()


@contextmanager
def only_path(path: Path, sync: bool) -> Iterator[Target]:
    """The writers share the path alone."""
    yield Target(path, sync)


@contextmanager
def journal(how: How, path: Path, sync: bool) -> Iterator[Target]:
    """The writers share a journal."""
    with Journal(path, how=how, sync="record" if sync else "none") as opened:
        yield Target(path, sync, opened)


@contextmanager
def journal_writer(target: Target, _: Any) -> Iterator[Writer]:
    """Append to the journal."""
    assert target.journal is not None
    with target.journal as opened:
        opened.append(b"")  # the first append of a process opens what it needs, and can start the writer process
        yield Writer(opened.append, opened.flush)


def read_journal(path: Path) -> bytes:
    """Return the valid records of a journal."""
    with JournalReader(path) as reader:
        return b"".join(record.data for record in reader)


@contextmanager
def buffered_writer(target: Target, _: Any) -> Iterator[Writer]:
    """Write to a file object, which writes to the file when its buffer is full."""
    with target.path.open("a", encoding="ascii", newline="\n") as file:
        yield Writer(file.write, file.flush)


@contextmanager
def flushed_writer(target: Target, _: Any) -> Iterator[Writer]:
    """Write to a file object, and flush its buffer after each record."""
    with target.path.open("a", encoding="ascii", newline="\n") as file:
        write, flush, descriptor = file.write, file.flush, file.fileno()

        def append(record: str) -> None:
            write(record)
            flush()

        def append_and_sync(record: str) -> None:
            append(record)
            os.fsync(descriptor)

        yield Writer(append_and_sync if target.sync else append, flush)


@contextmanager
def system_writer(target: Target, _: Any) -> Iterator[Writer]:
    """Call the system's function for each record."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
    descriptor = os.open(target.path, flags, 0o666)

    def append_and_sync(record: bytes) -> None:
        os.write(descriptor, record)
        os.fsync(descriptor)

    try:
        yield Writer(append_and_sync if target.sync else partial(os.write, descriptor), _nothing)
    finally:
        os.close(descriptor)


@contextmanager
def queue_writer(_: Target, queue: Any) -> Iterator[Writer]:
    """Put each record into a queue."""
    yield Writer(queue.put, partial(queue.put, END))


@contextmanager
def queue_reader(target: Target, queue: Any, writers: int) -> Iterator[Callable[[], None]]:
    """Write what comes out of the queue."""
    with target.path.open("ab") as file:

        def write_all() -> None:
            left = writers
            while left:
                if (record := queue.get()) is END:
                    left -= 1
                    continue
                file.write(record)
                if target.sync:
                    file.flush()
                    os.fsync(file.fileno())
            file.flush()

        yield write_all


@contextmanager
def log_to_queue(_: Target, queue: Any) -> Iterator[Writer]:
    """Log to a queue."""
    log = _logger(QueueHandler(queue)).info
    yield Writer(log, partial(log, LAST))


@contextmanager
def log_listener(target: Target, queue: Any, writers: int) -> Iterator[Callable[[], None]]:
    """Log what comes out of the queue to a file."""
    ended = Semaphore(0)

    class Handler(logging.FileHandler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.msg == LAST:
                ended.release()
            else:
                super().emit(record)

    with closing(Handler(target.path, encoding="ascii")) as handler:
        listener = QueueListener(queue, handler)
        listener.start()

        def wait() -> None:
            for _ in range(writers):
                if not ended.acquire(timeout=TIME_LIMIT):
                    raise TimeoutError(f"the listener did not get all records within {TIME_LIMIT:.0f} seconds")

        try:
            yield wait
        finally:
            listener.stop()


@contextmanager
def log_with_lock(target: Target, _: Any) -> Iterator[Writer]:
    """Log to a handler that locks the file."""
    handler = import_module("concurrent_log_handler").ConcurrentRotatingFileHandler(str(target.path), encoding="ascii")
    with closing(handler):
        yield Writer(_logger(handler).info, _nothing)


@contextmanager
def database(path: Path, sync: bool) -> Iterator[Target]:
    """The writers share a database with one table."""
    with closing(_connection(path, sync)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE records (data BLOB)")
        yield Target(path, sync)


@contextmanager
def database_writer(target: Target, _: Any) -> Iterator[Writer]:
    """Insert each record in a transaction of its own."""
    with closing(_connection(target.path, target.sync)) as connection:
        execute = connection.execute
        yield Writer(lambda record: execute("INSERT INTO records VALUES (?)", (record,)), _nothing)


def read_database(path: Path) -> bytes:
    """Return the records of a database in the order of their transactions."""
    with closing(_connection(path, False)) as connection:
        return b"".join(data for (data,) in connection.execute("SELECT data FROM records ORDER BY rowid"))


def _connection(path: Path, sync: bool) -> sqlite3.Connection:
    # Made in one thread and used in another, one after the other.
    connection = sqlite3.connect(path, timeout=TIME_LIMIT, isolation_level=None, check_same_thread=False)
    connection.execute(f"PRAGMA synchronous={'FULL' if sync else 'NORMAL'}")
    return connection


def _logger(handler: logging.Handler) -> logging.Logger:
    """Return a logger that no other program configures."""
    logger = logging.Logger("parcount study")
    logger.addHandler(handler)
    return logger


def _nothing() -> None:
    pass


def _lines(records: Sequence[bytes]) -> list[str]:
    return [record.decode("ascii") for record in records]


def _messages(records: Sequence[bytes]) -> list[str]:
    """Without the newline, which handlers add."""
    return [record[:-1].decode("ascii") for record in records]


@dataclass(frozen=True)
class Method:
    """A way to append.

    Parameters
    ----------
    writer : callable
        Given a target and a queue, returns a context manager whose value is a `Writer`.
    what : str
        What it does, for the legend.
    share : callable
        Given a path, and whether to sync each record, returns a context manager whose value is the target. This process
        enters it before there are writers, and leaves it after them.
    convert : callable
        Converts the records to what the writer takes.
    read : callable
        Returns the records that are in the file.
    reader : callable or None
        Where writers append to a queue: given a target, the queue and the number of writers, returns a context manager
        whose value is what a further worker calls, which returns when all records are in the file.
    executions : tuple of str
        By which several workers append.
    one_for_threads : bool
        Whether threads share a writer.
    syncs : bool
        Whether it can sync each record.
    exact : bool
        Whether the study fails if a record is lost, torn, duplicated or out of order.
    needs : str or None
        The library that it takes.
    """

    writer: Callable[[Target, Any], AbstractContextManager[Writer]]
    what: str
    share: Callable[[Path, bool], AbstractContextManager[Target]] = only_path
    convert: Callable[[Sequence[bytes]], Sequence[Any]] = list
    read: Callable[[Path], bytes] = Path.read_bytes
    reader: Callable[[Target, Any, int], AbstractContextManager[Callable[[], None]]] | None = None
    executions: tuple[str, ...] = (THREADS, PROCESSES)
    one_for_threads: bool = True
    syncs: bool = True
    exact: bool = False
    needs: str | None = None


def _way(how: How, what: str) -> Method:
    return Method(journal_writer, what, partial(journal, how), read=read_journal, exact=True)


BUFFERED, FLUSHED, SYSTEM = "file.write", "file.write+flush", "os.write"
PROCESS_QUEUE, THREAD_QUEUE = "mp.Queue", "queue.Queue"
LISTENER, LOCKED_LOG = "QueueHandler", "concurrent-log-handler"
DATABASE = "SQLite WAL"

METHODS: Mapping[str, Method] = {
    "reserve": _way("reserve", "Journal that reserves space by an atomic counter"),
    "lock": _way("lock", "Journal that locks the file"),
    "queue": _way("queue", "Journal with a writer process"),
    BUFFERED: Method(buffered_writer, 'open(path, "a")', convert=_lines, syncs=False),
    FLUSHED: Method(flushed_writer, "the same with flush() after each record", convert=_lines),
    SYSTEM: Method(system_writer, "os.write to a file opened with O_APPEND"),
    PROCESS_QUEUE: Method(
        queue_writer, "multiprocessing.Queue and a writer process", reader=queue_reader, executions=(PROCESSES,)
    ),
    THREAD_QUEUE: Method(queue_writer, "queue.Queue and a writer thread", reader=queue_reader, executions=(THREADS,)),
    LISTENER: Method(
        log_to_queue, "logging to a queue, and a QueueListener", convert=_messages, reader=log_listener, syncs=False
    ),
    LOCKED_LOG: Method(
        log_with_lock,
        "logging to a handler that locks the file",
        convert=_messages,
        syncs=False,
        needs="concurrent_log_handler",
    ),
    DATABASE: Method(
        database_writer,
        "sqlite3, a transaction for each record, synchronous=NORMAL",
        share=database,
        read=read_database,
        one_for_threads=False,
    ),
}
"""All methods, by the names that the study and the result file use."""
