"""Reading while others write."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest

import parcount as pc
from parcount._native.journal_blocks import LOCK_APPEND, lock
from parcount.files.journal.reader import Record
from tests.files.journal.support import assert_in_order, build, data_of
from tests.plain import TIME_LIMIT, until
from tests.together import in_a_thread, together

pytestmark = [
    pytest.mark.thread_unsafe(reason="starts threads of its own"),
    pytest.mark.skipif(sys.platform == "win32", reason="journals are not written there"),
]

FORMS = [{"how": "lock"}, {"how": "lock", "text": True}] + [{"how": "reserve"}] * (sys.platform == "linux")


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_followers_get_each_record_once_and_whole(form: dict[str, object], tmp_path: Path) -> None:
    path, writers, count = tmp_path / "journal", 3, 300
    pc.Journal(path, **form).close()

    def append(name: int) -> Callable[[], None]:
        def run() -> None:
            with pc.Journal(path, **form) as journal:
                for number in range(count):
                    journal.append(b"%d %d " % (name, number) + b"x" * (number * name * 20))

        return run

    def follow() -> list[Record]:
        with pc.JournalReader(path, text="text" in form) as reader:
            records = reader.follow(TIME_LIMIT)
            return [next(records) for _ in range(writers * count)]

    *_, one, other = together(*map(append, range(writers)), follow, follow)
    assert one == other
    assert_in_order(one, count)
    for record in one:
        name, number, rest = record.data.split(b" ")
        assert rest == b"x" * (int(number) * int(name) * 20)


def test_a_follower_ends_after_its_time(tmp_path: Path) -> None:
    with pc.Journal(tmp_path / "journal") as journal:
        assert list(journal.follow(0)) == []
        journal.append(b"one")
        assert [record.data for record in journal.follow(0)] == [b"one"]
        assert [record.data for record in journal.follow(0.01)] == [b"one"]


def test_a_torn_record_at_the_end_is_waited_for_while_the_lock_is_held(tmp_path: Path) -> None:
    file, built = build([(1, 0, b"one"), (1, 1, b"x" * 1000)])
    path = tmp_path / "journal"
    path.write_bytes(file[:-500])
    writer = os.open(path, os.O_RDWR)
    try:
        lock(writer, LOCK_APPEND)
        with pc.JournalReader(path) as reader:
            follower = reader.follow()
            assert next(follower) == built[0]
            assert list(reader.follow(0.01)) == built[:1]
            assert reader.check() == []
            os.pwrite(writer, file, 0)
            assert in_a_thread(lambda: next(follower)) == built[1]
    finally:
        os.close(writer)


@pytest.mark.parametrize("cut", [1, 40, 500])
def test_a_record_of_which_the_end_came_after_the_size_was_read(
    cut: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, built = build([(1, 0, b"one"), (1, 1, b"x" * 1000)])
    path = tmp_path / "journal"
    path.write_bytes(file)
    with pc.JournalReader(path) as reader:
        ends = iter([len(file) - cut])
        monkeypatch.setattr(reader, "_end", lambda: next(ends, len(file)))
        assert list(reader.follow(0)) == built


def test_a_torn_record_of_a_killed_writer_is_passed(tmp_path: Path) -> None:
    file, built = build([(1, 0, b"one"), (1, 1, b"x" * 1000)])
    path = tmp_path / "journal"
    path.write_bytes(file[:-500])
    with pc.JournalReader(path) as reader:
        follower = reader.follow()
        assert next(follower) == built[0]
        got: list[bytes] = []
        thread = Thread(target=lambda: got.append(next(follower).data), daemon=True)
        thread.start()
        with pc.Journal(path, how="lock") as journal:
            journal.append(b"two")
        until(lambda: got, "the record did not come")
        thread.join(TIME_LIMIT)
    assert got == [b"two"]
    assert data_of(path) == [b"one", b"two"]


def test_a_truncated_log_is_followed_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"a long line\n")
    with pc.JournalReader(path, text=True) as reader:
        follower = reader.follow(TIME_LIMIT)
        assert next(follower).data == b"a long line"
        path.write_bytes(b"new\n")
        assert next(follower).data == b"new"


def test_reading_needs_no_permission_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal"
    with pc.Journal(path) as journal:
        journal.append(b"one")
        opened = []
        open_it = os.open
        monkeypatch.setattr(os, "open", lambda name, flags, *rest: opened.append(flags) or open_it(name, flags, *rest))
        with pc.JournalReader(path) as reader:
            assert [record.data for record in reader] == [b"one"]
            assert list(reader.follow(0)) == list(reader)
            assert reader.check() == []
    assert not any(flags & (os.O_WRONLY | os.O_RDWR) for flags in opened[:1])


def test_several_iterations_and_a_closed_reader(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with pc.Journal(path) as journal:
        journal.append(b"one")
        with pc.JournalReader(path) as reader:
            assert list(reader) == list(reader)
            journal.append(b"two")
            assert [record.data for record in reader] == [b"one", b"two"]
    with pytest.raises(ValueError, match="closed"):
        list(reader)
    reader.close()


def test_a_repaired_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with pc.Journal(path) as journal:
        journal.append(b"one")
    with pc.JournalReader(path) as reader, pytest.raises(FileExistsError):
        reader.repair(path)
    assert data_of(path) == [b"one"]


def test_a_repaired_text(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\n\ntwo\nthr")
    with pc.JournalReader(path, text=True) as reader:
        assert reader.repair(tmp_path / "repaired") == 3
    assert (tmp_path / "repaired").read_bytes() == b"one\n\ntwo\n"


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        pc.JournalReader(tmp_path / "journal")
    (tmp_path / "empty").touch()
    with pytest.raises(ValueError, match="is not a journal"):
        pc.JournalReader(tmp_path / "empty")
    assert data_of(tmp_path / "empty", text=True) == []
