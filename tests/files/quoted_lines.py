"""A count for tests of the driver: lines, of which quotes can hide the ends, after a header line."""

from __future__ import annotations

import pickle
from collections import Counter
from typing import Any

from parcount.files.count import Count, Partial, RecordError, WrongStart


def count_naively(data: bytes, *, header: bool) -> Counter[bytes]:
    """Count the lines of a whole file."""
    records = []
    record = b""
    for line in data.splitlines(keepends=True) if b"\r" not in data else [data]:
        record += line
        if record.count(b'"') % 2 == 0 and line.endswith(b"\n"):
            records.append(record)
            record = b""
    if record:
        records.append(record)
    return Counter(records[1:] if header else records)


class QuotedLinesPartial(Partial):
    def __init__(self, guesses: bool, counts: Counter[bytes] | None = None) -> None:
        self.guesses = guesses
        self.counts = Counter() if counts is None else counts
        self.closed = False

    def update(self, block: memoryview, *, last: bool) -> int:
        assert not self.closed
        data = bytes(block)
        if (bad := data.find(b"!")) >= 0:
            raise RecordError("an exclamation mark", bad)
        used = 0
        while end := _record_end(data, used):
            self.counts[data[used:end]] += 1
            used = end
        if last and used < len(data):
            if self.guesses and data.count(b'"', used) % 2:
                raise WrongStart
            self.counts[data[used:]] += 1
            used = len(data)
        return used

    def merge(self, other: Any) -> None:
        self.counts += other.counts

    def load(self, data: bytes) -> None:
        self.counts += pickle.loads(data)

    def to_bytes(self) -> bytes:
        return pickle.dumps(self.counts)

    def close(self) -> None:
        self.closed = True


class QuotedLines(Count):
    """With `guesses`, a newline is taken for the end of a record, as far as nothing shows that it is none."""

    keeps_partials = True

    def __init__(self, header: bool = False, guesses: bool = True) -> None:
        self.header = header
        self.guesses = guesses

    def opened(self, head: bytes, *, complete: bool, name: str) -> tuple[Count, int] | None:  # noqa: ARG002
        if not self.header:
            return self, 0
        end = _record_end(head, 0)
        if not end and not complete:
            return None
        return self, end or len(head)

    def in_order(self) -> Count:
        return QuotedLines(self.header, guesses=False)

    def partial(self, workers: int = 1) -> QuotedLinesPartial:  # noqa: ARG002
        return QuotedLinesPartial(self.guesses)

    def from_bytes(self, data: bytes) -> QuotedLinesPartial:
        return QuotedLinesPartial(self.guesses, pickle.loads(data))

    def find_start(self, source: Any, position: int) -> int | None:
        if not self.guesses:
            return None
        rest = source.read(position - 1, source.size) if position else b"\n"
        end = rest.find(b"\n")
        return source.size if end < 0 else position + end

    def cut(self, block: memoryview) -> int:
        data = bytes(block)
        used = 0
        while end := _record_end(data, used):
            used = end
        return used


class Lines(QuotedLines):
    """Lines without quotes: nothing is guessed, no input has a count of its own."""

    opened = Count.opened
    in_order = Count.in_order

    def __init__(self) -> None:
        super().__init__()

    def partial(self, workers: int = 1) -> QuotedLinesPartial:  # noqa: ARG002
        return QuotedLinesPartial(False)


def _record_end(data: bytes, start: int) -> int:
    """Where the record ends that begins somewhere; 0 if not in these bytes."""
    end = start
    while end := data.find(b"\n", end) + 1:
        if data.count(b'"', start, end) % 2 == 0:
            return end
    return 0
