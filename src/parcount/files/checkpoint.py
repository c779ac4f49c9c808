"""Counts that can be continued: what has been counted is recorded in a journal, chunk by chunk.

The first record says what is counted, with which options, and what the inputs were. Each of the others has the counts
of some chunks. Records are independent of each other: the chunks of a damaged one are counted again.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping, Sequence

from parcount._native.journal_blocks import lock
from parcount.files.count import Count
from parcount.files.inputs import STANDARD_INPUT, File, FileChanged, Input
from parcount.files.journal.journal import Journal
from parcount.files.journal.reader import JournalReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Self

VERSION = 1

LOCK_COUNT = 1 << 20
"""The lock of a count that goes on, beside those of the journal's writers, whose numbers are smaller."""

CHUNK_SIZES = (1 << 20, 1 << 26)
"""The least and the most bytes of a chunk: each costs a write to the disk."""

TABLE_CHUNK_SIZES = (1 << 22, 1 << 28)
"""The same where a record is a table of values, which has most of the values of all chunks in it."""

CHUNKS = 64
"""Chunks of an input between these sizes."""

SAMPLE_SIZE = 1 << 12
"""Bytes at each boundary of chunks by which an input is recognised."""


class Checkpoint:
    """The journal of a count; a context manager that holds a lock on it. Pickled, it only records.

    Parameters
    ----------
    path : str
        The journal; it is begun if it does not exist, or is empty.
    count : Count
        What is counted.
    options : mapping
        What else the result depends on; can be written as JSON.
    inputs : sequence of Input
        What is counted; regular files.

    Raises
    ------
    FileChanged
        If an input is not what it was when the journal was begun.
    ValueError
        If an input is no regular file, or the journal is of something else, of other options or inputs, or its first
        record is damaged.
    OSError
        If the journal cannot be written, or another count uses it (``EBUSY``).
    """

    def __init__(self, path: str, count: Count, options: Mapping[str, Any], inputs: Sequence[Input]) -> None:
        files = [source for source in inputs if isinstance(source, File) and source.name != STANDARD_INPUT]
        if len(files) < len(inputs):
            name = next(source.name for source in inputs if source not in files)
            raise ValueError(f"a count of {name} cannot be continued: a journal is for regular, uncompressed files")
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        try:
            if not lock(self._descriptor, LOCK_COUNT, wait=False):
                raise OSError(errno.EBUSY, "another count uses this journal", path)
            self._journal = Journal(path, sync="record")
            try:
                self._begin(count, options, files)
            except BaseException:
                self._journal.close()
                raise
        except BaseException:
            os.close(self._descriptor)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._journal.close()
        os.close(self._descriptor)

    def __getstate__(self) -> dict[str, Any]:
        return {"_journal": self._journal}

    def append(self, chunks: Sequence[tuple[int, int, int, bytes]]) -> None:
        """Record chunks: of each the position of the input, where it begins and ends, and its counts.

        It returns when they are on the disk. Any worker may call it.
        """
        entries = [(index, start, stop, len(data)) for index, start, stop, data in chunks]
        self._write({"chunks": entries}, b"".join(data for *_, data in chunks))

    def restart(self, index: int) -> None:
        """Record that the chunks of an input so far are not to be used, and that it is counted in order from now on."""
        self._write({"restart": index})
        for chunk in [chunk for chunk in self._stops if chunk[0] == index]:
            del self._stops[chunk]
        self.restarted[index] = self.restarted.get(index, 0) + 1

    def stop(self, index: int, start: int) -> int | None:
        """Return the end of the chunk of an input that begins somewhere; None if it has not been counted."""
        return self._stops.get((index, start))

    def finished(self) -> Iterator[tuple[int, bytes, int]]:
        """Yield the chunks that were counted before: the input, the counts, and the number of bytes."""
        restarts = dict.fromkeys(self.restarted, 0)
        seen = set()
        for head, payload in self._records():
            if (restarted := head.get("restart")) is not None:
                restarts[restarted] += 1
            position = 0
            for index, start, stop, size in head.get("chunks", ()):
                data = payload[position : position + size]
                position += size
                valid = restarts.get(index, 0) == self.restarted.get(index, 0)
                if valid and (index, start) not in seen:
                    seen.add((index, start))
                    yield index, data, stop - start

    def _begin(self, count: Count, options: Mapping[str, Any], files: Sequence[File]) -> None:
        """Compare the journal with what is to be counted, or begin it."""
        self._stops: dict[tuple[int, int], int] = {}
        self.restarted: dict[int, int] = {}
        total = sum(file.size for file in files)
        least, most = TABLE_CHUNK_SIZES if count.keeps_partials else CHUNK_SIZES
        self.chunk_size = max(least, min(most, total // CHUNKS))
        records = self._records()
        first = next(records, None)
        if first is None:
            self._write({"parcount count": VERSION, **self._describe(options, files)})
            return
        self._compare(first[0], options, files)
        for head, _ in records:
            if (restarted := head.get("restart")) is not None:
                self.restarted[restarted] = self.restarted.get(restarted, 0) + 1
                self._stops = {chunk: stop for chunk, stop in self._stops.items() if chunk[0] != restarted}
            for index, start, stop, _ in head.get("chunks", ()):
                self._stops[index, start] = stop

    def _compare(self, head: Mapping[str, Any], options: Mapping[str, Any], files: Sequence[File]) -> None:
        if "parcount count" not in head:
            damaged = "chunks" in head or "restart" in head
            what = "its first record is damaged" if damaged else "it is not the journal of a count"
            raise ValueError(f"{self.path}: {what}; give another file")
        if head["parcount count"] != VERSION:
            raise ValueError(f"{self.path} was written by another version of parcount")
        self.chunk_size = head["chunk_size"]
        found = json.loads(json.dumps(self._describe(options, files)))
        if found["options"] != head["options"]:
            names = sorted(
                name
                for name in {*found["options"], *head["options"]}
                if found["options"].get(name) != head["options"].get(name)
            )
            raise ValueError(f"{self.path} is the journal of a count with other options: {', '.join(names)}")
        then, now = ([one["path"] for one in inputs] for inputs in (head["inputs"], found["inputs"]))
        if then != now:
            missing = [path for path in then if path not in now]
            new = [path for path in now if path not in then]
            detail = f"without {missing[0]}" if missing else f"with {new[0]}" if new else "in another order"
            raise ValueError(f"{self.path} is the journal of a count of other files: now {detail}")
        for file, before, after in zip(files, head["inputs"], found["inputs"], strict=True):
            for what in ("size", "mtime_ns", "hash"):
                if before[what] != after[what]:
                    detail = {
                        "size": f"it had {before['size']} bytes and has {after['size']}",
                        "mtime_ns": "it was written",
                        "hash": "its contents are others",
                    }[what]
                    text = f"file changed since the journal was begun: {detail}"
                    raise FileChanged(errno.ESTALE, text, file.name)

    def _describe(self, options: Mapping[str, Any], files: Sequence[File]) -> dict[str, Any]:
        inputs = [
            {
                "path": os.path.abspath(file.path),  # noqa: PTH100 - a journal moves with its files' names, not their links
                "size": file.size,
                "start": file.start,
                "mtime_ns": file.identity[-1],
                "hash": self._hash(file),
            }
            for file in files
        ]
        return {"chunk_size": self.chunk_size, "options": dict(options), "inputs": inputs}

    def _hash(self, file: File) -> str:
        """Return a hash of the bytes on both sides of each boundary of chunks."""
        from hashlib import blake2b

        digest = blake2b(digest_size=16)
        with file.open() as opened:
            for position in (*range(0, file.size, self.chunk_size), file.size):
                digest.update(opened.read(max(0, position - SAMPLE_SIZE // 2), SAMPLE_SIZE))
        return digest.hexdigest()

    def _write(self, head: Mapping[str, Any], payload: bytes = b"") -> None:
        self._journal.append(json.dumps(head).encode() + b"\n" + payload)

    def _records(self) -> Iterator[tuple[dict[str, Any], bytes]]:
        with JournalReader(self.path) as reader:
            for record in reader:
                head, _, payload = record.data.partition(b"\n")
                try:
                    parsed = json.loads(head)
                except ValueError:
                    parsed = None
                yield parsed if isinstance(parsed, dict) else {}, payload
