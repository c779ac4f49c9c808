"""Reserved space: what killed and stopped writers leave, and how the file grows and shrinks."""

import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

import parcount as pc
from parcount._native import journal_blocks
from parcount._native.journal_blocks import (
    ALLOCATED_AT,
    END_AT,
    LOCK_SLOTS,
    RECORDS_AT,
    SLOT_CELLS,
    SLOT_SIZE,
    SLOTS_AT,
)
from parcount.files.journal import format as file_format
from parcount.files.journal.format import SLOTS, open_for_writing
from tests.conftest import Run
from tests.files.journal.support import damages, data_of, read
from tests.plain import TIME_LIMIT
from tests.together import in_a_thread, together

pytestmark = [
    pytest.mark.thread_unsafe(reason="starts threads and processes of its own"),
    pytest.mark.skipif(sys.platform != "linux", reason="space is reserved on Linux only"),
]


class Stopped:
    """A writer that has reserved space, has not filled it, and can be killed."""

    def __init__(self, path: Path, size: int) -> None:
        opened = open_for_writing(str(path), "reserve")
        self.descriptor = opened.descriptor
        (self.offset,) = struct.unpack("=q", os.pread(self.descriptor, 8, END_AT))
        os.pwrite(self.descriptor, struct.pack("=q", self.offset), SLOTS_AT + opened.slot * SLOT_SIZE + 8)
        (allocated,) = struct.unpack("=q", os.pread(self.descriptor, 8, ALLOCATED_AT))
        end = self.offset + size
        os.posix_fallocate(self.descriptor, allocated, end)
        os.pwrite(self.descriptor, struct.pack("=q", end), END_AT)
        os.pwrite(self.descriptor, struct.pack("=q", max(end, allocated)), ALLOCATED_AT)

    def kill(self) -> None:
        os.close(self.descriptor)


@contextmanager
def stopped(path: Path, size: int) -> Iterator[Stopped]:
    writer = Stopped(path, size)
    yield writer
    if writer.descriptor >= 0:
        writer.kill()


def test_a_gap_of_a_living_writer_is_waited_for_and_that_of_a_dead_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with pc.Journal(path, how="reserve") as journal:
        journal.append(b"one")
        writer = Stopped(path, 4096)
        journal.append(b"two")
        assert data_of(path) == [b"one", b"two"]
        assert damages(path) == []
        with pc.JournalReader(path) as reader:
            follower = reader.follow(0.05)
            assert [record.data for record in follower] == [b"one"]
            follower = reader.follow()
            assert next(follower).data == b"one"
            writer.kill()
            assert in_a_thread(lambda: next(follower)).data == b"two"
        journal.append(b"three")
        assert [(each.offset, each.size, each.kind) for each in damages(path)] == [(writer.offset, 4096, "unwritten")]
    assert data_of(path) == [b"one", b"two", b"three"]


def test_a_late_record_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with pc.Journal(path, how="reserve") as journal, pc.JournalReader(path) as reader:
        journal.append(b"one")
        block = journal_blocks.build_block(reader._marker, RECORDS_AT + 40, 7, 0, b"late")
        writer = Stopped(path, len(block))
        journal.append(b"two")
        follower = reader.follow(TIME_LIMIT)
        assert next(follower).data == b"one"

        def fill() -> None:
            os.pwrite(writer.descriptor, block, writer.offset)
            writer.kill()

        late, _ = together(lambda: [next(follower).data, next(follower).data], fill)
        assert late == [b"late", b"two"]


def test_unused_space_is_freed_by_the_last_writer(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with pc.Journal(path, how="reserve") as one, pc.Journal(path, how="reserve") as other:
        one.append(b"x")
        assert path.stat().st_size > RECORDS_AT + 40
        one.close()
        assert path.stat().st_size > RECORDS_AT + 40
        other.append(b"y")
    assert path.stat().st_size == RECORDS_AT + 2 * 40


@pytest.mark.parametrize("how", ["lock", "reserve"])
@pytest.mark.parametrize("torn", [0, 48, 77])
def test_what_killed_writers_leave_at_the_end_is_reused(how: str, torn: int, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with pc.Journal(path, how="reserve") as journal:
        journal.append(b"\0" * 20)
        with stopped(path, 1 << 20) as writer:
            os.pwrite(writer.descriptor, b"t" * torn, writer.offset)
            killed: Any = journal._writer
            killed._appender.abandon()
            os.close(killed._descriptor)
            killed._descriptor = -1
    assert path.stat().st_size > 1 << 20
    with pc.JournalReader(path) as reader:
        follower = reader.follow(0)
        assert [record.data for record in follower] == [b"\0" * 20]
        assert [(each.kind, each.size) for each in reader.check()] == [("torn", -(-torn // 8) * 8)] * bool(torn)
        follower = reader.follow()
        next(follower)
        with pc.Journal(path, how=how) as journal:
            journal.append(b"next")
            assert in_a_thread(lambda: next(follower)).offset == RECORDS_AT + 56 + -(-torn // 8) * 8
    assert path.stat().st_size < 1 << 20
    assert data_of(path) == [b"\0" * 20, b"next"]


KILLED = """
import os, signal, sys
import parcount as pc

pc.Journal  # imported once
for name in range(15):
    child = os.fork()
    if not child:
        journal = pc.Journal(sys.argv[1], how="reserve")
        journal.append(b"%d" % name)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
"""


def test_slots_of_killed_writers_are_used_again(tmp_path: Path, run_script: Run) -> None:
    path = tmp_path / "journal"
    with pc.Journal(path, how="reserve") as journal:
        done = run_script(f"import sys\nsys.argv += [{str(path)!r}]\n{KILLED}")
        assert done.returncode == 0, done.stderr
        writer: Any = journal._writer
        descriptor = writer._descriptor
        assert struct.unpack("=q", os.pread(descriptor, 8, ALLOCATED_AT + 8)) == (2,)
        assert not journal_blocks.is_locked(descriptor, LOCK_SLOTS + 1)
    records = read(path)
    assert [record.data for record in records] == [b"%d" % name for name in range(15)]
    assert len({record.writer for record in records}) == 15


def test_too_many_writers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert SLOTS > 1000
    monkeypatch.setattr(file_format, "SLOTS", 2)
    path = tmp_path / "journal"
    with pc.Journal(path, how="reserve"), pc.Journal(path, how="reserve") as second:
        with pytest.raises(OSError, match="2 processes have the journal open"):
            pc.Journal(path, how="reserve")
        second.close()
        pc.Journal(path, how="reserve").close()


def test_more_threads_than_cells(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with pc.Journal(path, how="reserve") as journal:
        together(*[lambda: [journal.append(bytes(100_000)) for _ in range(5)]] * (2 * SLOT_CELLS))
    records = read(path)
    assert len(records) == 10 * SLOT_CELLS
    assert len({record.writer for record in records}) <= SLOT_CELLS
    assert damages(path) == []


def test_closing_waits_for_appends(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    for _ in range(5):
        journal = pc.Journal(path, how="reserve")
        appended = []

        def append(journal: pc.Journal = journal, appended: list[int] = appended) -> None:
            with suppress(ValueError):
                while True:
                    journal.append(bytes(100_000))
                    appended.append(1)

        before = len(read(path))
        together(append, append, journal.close)
        assert len(read(path)) == before + len(appended)
    assert damages(path) == []


def test_records_in_every_window(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    data = [bytes([number % 251]) * 32_768 for number in range(600)]  # more than one mapping holds
    with pc.Journal(path, how="reserve") as journal:
        for each in data:
            journal.append(each)
    assert data_of(path) == data


def test_other_file_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_format, "_FILE_SYSTEMS", {0x6969})
    with pytest.raises(OSError, match="cannot be reserved safely on this file system"):
        pc.Journal(tmp_path / "journal", how="reserve")
    with pc.Journal(tmp_path / "journal") as journal:
        assert journal.how == "lock"
