"""What the tests of journals share."""

from collections.abc import Iterable
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

from parcount._native.journal_blocks import RECORDS_AT, build_block
from parcount.files.journal.format import COPY_AT, new_header, read_marker
from parcount.files.journal.reader import Damage, JournalReader, Record


def read(path: Path, **options: Any) -> list[Record]:
    """Return the records of a file."""
    with JournalReader(path, **options) as reader:
        return list(reader)


def data_of(path: Path, **options: Any) -> list[bytes]:
    """Return the data of the records of a file."""
    return [record.data for record in read(path, **options)]


def damages(path: Path, **options: Any) -> list[Damage]:
    """Return what is wrong in a file."""
    with JournalReader(path, **options) as reader:
        return reader.check()


def build(records: Iterable[tuple[int, int, bytes]], header: bytes | None = None) -> tuple[bytearray, list[Record]]:
    """Return the bytes of a file with some records (writer, sequence number, data), and the records."""
    header = header or new_header()
    file = bytearray(header.ljust(COPY_AT, b"\0") + header)
    assert len(file) == RECORDS_AT
    marker = read_marker(bytes(file), "")
    built = []
    for writer, sequence, data in records:
        built.append(Record(data, writer, sequence, len(file)))
        file += build_block(marker, len(file), writer, sequence, data)
    return file, built


def assert_in_order(records: Iterable[Record], count: int) -> None:
    """Assert that the data "name number" of records have each number of a name once and in order, up to `count`."""
    pairs = sorted((record.data.split(b" ")[:2] for record in records), key=lambda pair: pair[0])
    for name, group in groupby(pairs, key=lambda pair: pair[0]):
        numbers = [int(number) for _, number in group]
        assert len(numbers) == count, name
        assert all(before + 1 == after for before, after in pairwise([-1, *numbers])), name
