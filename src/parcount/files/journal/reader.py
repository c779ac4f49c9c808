"""Reading a journal, while others write it or not."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from time import monotonic, sleep
from types import TracebackType
from typing import NamedTuple, Self

from parcount._native import journal_blocks
from parcount._native.journal_blocks import END_AT, LOCK_APPEND, LOCK_USES_QUEUE, LOCK_USES_RESERVE, RECORDS_AT
from parcount.files.journal.format import (
    COPY_AT,
    HEADER_SIZE,
    align,
    header_is_valid,
    is_journal,
    new_header,
    oldest_append,
    read_marker,
    sync_folder,
    sync_to_disk,
)

_CHUNK = 1 << 20
_SHORTEST_WAIT, _LONGEST_WAIT = 0.0005, 0.05


class Record(NamedTuple):
    """A record of a journal.

    Attributes
    ----------
    data : bytes
        What was appended; of a text journal, the line without its newline.
    writer : int
        The writer: each process, and each of its threads that append at the same time, is one. 0 in a text journal.
    sequence : int
        The number of the record among those of its writer, from 0 on; in a text journal, the number of the line.
    offset : int
        Where the record begins in the file.
    """

    data: bytes
    writer: int
    sequence: int
    offset: int


class Damage(NamedTuple):
    """Something that is wrong in a journal.

    Attributes
    ----------
    offset : int
        Where it begins in the file.
    size : int
        The bytes that belong to no record; 0 if the record at `offset` is whole, but not in its place.
    kind : str
        ``"unwritten"``: zeros, which a killed writer leaves. ``"torn"``: bytes that are no valid record. ``"missing"``,
        ``"duplicate"`` or ``"order"``: the sequence numbers of a writer have a gap, come twice, or come late.
    text : str
        A sentence about it.
    """

    offset: int
    size: int
    kind: str
    text: str


class JournalReader:
    """The records of a journal, which others may be writing.

    Parameters
    ----------
    path : path
        The file; it need not be writable.
    text : bool, optional
        Whether it is a text journal, whose records are lines.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is not a journal, or of a later version.

    See Also
    --------
    Journal : Writes it.

    Notes
    -----
    Iteration yields the records that were appended before it began, in the order of the file, and each only once and
    whole. What is no valid record is left out; `check` lists it. Memory: a block of 1 MiB, or the largest record. A
    reader is for one thread at a time.

    Examples
    --------
    >>> import parcount as pc, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with pc.Journal(f"{folder}/events.log") as journal:
    ...         first = journal.append(b"started")
    ...     with pc.JournalReader(f"{folder}/events.log") as reader:
    ...         [record.data for record in reader]
    [b'started']
    """

    def __init__(self, path: str | os.PathLike[str], *, text: bool = False) -> None:
        self.path = os.fspath(path)
        self.text = text
        self._line = 0
        self._descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))
        try:
            content = self._read(0, RECORDS_AT)
            if not text:
                self._marker = read_marker(content, self.path, damaged=True)
            elif is_journal(content):
                raise ValueError(f"{self.path} is a journal with blocks, not with lines of text")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file. It can be called repeatedly."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Record]:
        for part in self._parts(self._begin, self._end()):
            yield from part.records

    def follow(self, timeout: float | None = None) -> Iterator[Record]:
        """Yield the records, then new ones as they are appended.

        Parameters
        ----------
        timeout : float, optional
            Seconds without a new record after which the iteration ends; by default it does not.

        Notes
        -----
        A record that a writer is still writing is waited for: none is left out, and none comes torn. New records are
        looked for after half a millisecond, and then after growing times of up to 50 ms. If the file is renamed or
        removed, its own records are followed, not those of a new file of its name.
        """
        position, wait, last = self._begin, _SHORTEST_WAIT, monotonic()
        while True:
            end = self._end()
            if self.text and end < position:
                position = 0  # truncated: what it contains now is new
            before = position
            for part in self._settled_parts(position, end):
                if part.in_progress or (self.text and not part.records):  # a line without an end may yet get one
                    break
                yield from part.records
                position = part.stop
            if position != before:
                wait, last = _SHORTEST_WAIT, monotonic()
                continue
            if timeout is not None and monotonic() - last >= timeout:
                return
            sleep(wait if timeout is None else max(0.0, min(wait, last + timeout - monotonic())))
            wait = min(2 * wait, _LONGEST_WAIT)

    def check(self) -> list[Damage]:
        """Return what is wrong in the journal, in the order of the file.

        Time: O(size of the file). Memory: O(writers + damages). What a writer is still writing is no damage.
        """
        damages: list[Damage] = []
        sequences = _Sequences()
        if not self.text:
            content = self._read(0, RECORDS_AT)
            for offset, what in ((0, "the header"), (COPY_AT, "the copy of the header")):
                if not header_is_valid(content, offset):
                    damages.append(Damage(offset, HEADER_SIZE, "torn", f"{what} is damaged"))
        for part in self._settled_parts(self._begin, self._end()):
            if part.records and not self.text:
                for record in part.records:
                    damages += sequences.check(record)
            elif not part.records and not part.in_progress:
                damages.append(self._describe(part))
        return damages

    def repair(self, new: str | os.PathLike[str]) -> int:
        """Write the valid records to a new file, with their writers and sequence numbers; return how many they are.

        Raises FileExistsError if the file exists. The new file is on the disk when this returns.
        """
        descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        try:
            return self._copy(descriptor, os.fspath(new))
        except BaseException:
            os.unlink(new)  # noqa: PTH108 - the name may be bytes
            raise

    def _copy(self, descriptor: int, new: str) -> int:
        count = 0
        with os.fdopen(descriptor, "wb", buffering=_CHUNK) as file:
            if not self.text:
                header = new_header()
                file.write(header.ljust(COPY_AT, b"\0") + header)
                marker = read_marker(header, new)
            for record in self:
                if self.text:
                    file.write(record.data + b"\n")
                else:
                    file.write(
                        journal_blocks.build_block(marker, file.tell(), record.writer, record.sequence, record.data)
                    )
                count += 1
            file.flush()
            sync_to_disk(descriptor)
        sync_folder(os.path.abspath(new))  # noqa: PTH100 - as in `Journal`
        return count

    @property
    def _begin(self) -> int:
        return 0 if self.text else RECORDS_AT

    def _read(self, offset: int, size: int) -> bytes:
        data = bytearray()
        while len(data) < size and (more := self._read_some(offset + len(data), min(size - len(data), 1 << 30))):
            if len(more) == size:
                return more
            data += more
        return bytes(data)

    def _read_some(self, offset: int, size: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._descriptor, size, offset)
        os.lseek(self._descriptor, offset, os.SEEK_SET)
        return os.read(self._descriptor, size)

    def _end(self) -> int:
        """Where to stop: the end of the file, or of what writers have reserved."""
        if self._descriptor < 0:
            raise ValueError("the reader is closed")
        reserved = self._reserved_end()
        size = os.fstat(self._descriptor).st_size
        return size if reserved is None else min(size, reserved)

    def _reserved_end(self) -> int | None:
        """Where the reserved space ends; None if no writer reserves."""
        if self.text or os.name == "nt" or not journal_blocks.is_locked(self._descriptor, LOCK_USES_RESERVE):
            return None
        return int.from_bytes(self._read(END_AT, 8), sys.byteorder)

    def _in_progress(self, part: _Part) -> bool:
        """Whether a living writer may be writing a part that is no record."""
        if os.name == "nt":
            return False
        if self._reserved_end() is not None:
            oldest = oldest_append(self._descriptor)
            return oldest is not None and oldest < part.stop
        return part.is_last and any(
            journal_blocks.is_locked(self._descriptor, lock) for lock in (LOCK_APPEND, LOCK_USES_QUEUE)
        )

    def _settled_parts(self, start: int, end: int) -> Iterator[_Part]:
        """The parts of the file, of which those that are no record are known to stay so, or to be in progress."""
        settled = (-1, -1)
        while True:
            for part in self._parts(start, end):
                if part.records or (part.offset, part.stop) == settled:
                    yield part
                    start = part.stop
                elif self._in_progress(part):
                    yield part._replace(in_progress=True)
                    start = part.stop
                else:  # it may have been completed before it was known not to be in progress, with bytes behind the end
                    start, settled, end = part.offset, (part.offset, part.stop), self._end()
                    break
            else:
                return

    def _parts(self, start: int, end: int) -> Iterator[_Part]:
        """The records of a part of the file, some at a time, and what is between them."""
        if self.text:
            yield from self._lines(start, end)
            return
        position, after, size, gap = start, start, _CHUNK, -1
        while position < end:
            wanted = min(size, end - position)
            data = self._read(position, wanted)
            records, first, after, needed = journal_blocks.scan(data, position, end, self._marker, gap >= 0, Record)
            if records:
                if gap >= 0:
                    yield _Part(gap, first)
                    gap = -1
                yield _Part(first, after, records)
            if not needed:
                gap = after
            elif after + needed > end or len(data) < wanted:
                break
            position, size = after, max(_CHUNK, needed)
        rest = gap if gap >= 0 else after
        used = self._used_end(rest, end)
        if used > rest:
            yield _Part(rest, align(used), is_last=True)

    def _lines(self, start: int, end: int) -> Iterator[_Part]:
        position, size = start, _CHUNK
        number = 0 if start == 0 else self._line
        while position < end:
            data = self._read(position, min(size, end - position))
            stop = data.rfind(b"\n") + 1
            if not data or (not stop and position + len(data) >= end):
                break
            records = []
            for line in data[:stop].split(b"\n")[:-1]:
                records.append(Record(line, 0, number, position))
                position += len(line) + 1
                number += 1
            self._line = number
            if records:
                yield _Part(records[0].offset, position, records)
            size = _CHUNK if stop else 2 * size
        if position < end:
            yield _Part(position, end, is_last=True)

    def _used_end(self, start: int, end: int) -> int:
        """Where the zeros begin that a part of the file ends with."""
        while end > start:
            step = max(start, end - _CHUNK)
            end = step + len(self._read(step, end - step).rstrip(b"\0"))
            if end > step:
                break
        return end

    def _describe(self, part: _Part) -> Damage:
        size = part.stop - part.offset
        if self._used_end(part.offset, part.stop) == part.offset:
            return Damage(part.offset, size, "unwritten", f"{size} bytes were reserved and not written")
        if self.text:
            return Damage(part.offset, size, "torn", "the last line has no end")
        return Damage(part.offset, size, "torn", f"{size} bytes are no valid record")


class _Part(NamedTuple):
    """A part of a file: records that lie one behind the other, or bytes that are none."""

    offset: int
    stop: int
    records: list[Record] = []  # noqa: RUF012 - never changed
    is_last: bool = False  # whether no record lies behind it
    in_progress: bool = False


class _Sequences:
    """Which sequence numbers of each writer have been seen."""

    def __init__(self) -> None:
        self._next: dict[int, int] = {}
        self._missing: dict[int, list[range]] = {}

    def check(self, record: Record) -> list[Damage]:
        """Return what is wrong with a record's sequence number."""
        number, expected = record.sequence, self._next.get(record.writer, 0)
        if number == expected:
            self._next[record.writer] = number + 1
            return []
        return [self._explain(record, number, expected)]

    def _explain(self, record: Record, number: int, expected: int) -> Damage:
        missing = self._missing.setdefault(record.writer, [])
        of_writer = f"of writer {record.writer:#018x}"
        if number > expected:
            self._next[record.writer] = number + 1
            missing.append(range(expected, number))
            which = f"record {expected}" if number == expected + 1 else f"records {expected} to {number - 1}"
            return Damage(record.offset, 0, "missing", f"{which} {of_writer} should be in front of this one")
        for i, numbers in enumerate(missing):
            if number not in numbers:
                continue
            missing[i : i + 1] = filter(None, (range(numbers.start, number), range(number + 1, numbers.stop)))
            return Damage(record.offset, 0, "order", f"record {number} {of_writer} comes after record {expected - 1}")
        return Damage(record.offset, 0, "duplicate", f"record {number} {of_writer} comes again")
