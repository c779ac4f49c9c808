"""`how="queue"`: the ring, the writer process, and what is left when either end is killed."""

from __future__ import annotations

import errno
import mmap
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import parcount as pc
from parcount._native.journal_blocks import scan
from parcount._native.journal_ring import CHECK, DONE, FULL, HEADER_BYTES, OUTCOMES, WAKE, Ring
from parcount.files.journal import queue as queue_module
from parcount.files.journal.queue import QueueWriter
from parcount.files.journal.reader import Record
from tests.conftest import forks_beside_threads
from tests.files.journal.kill_writers import find_servers
from tests.remote import TIME_LIMIT, until
from tests.together import repeat, together

resource = pytest.importorskip("resource", reason="journals are not written on Windows")

linux = pytest.mark.skipif(sys.platform != "linux", reason="finds the writer process in /proc")

MARKER = b"marker 8"


def folders(path: Path) -> list[Path]:
    return [*path.parent.glob("*.queue")]


def read(path: Path, *, text: bool = False) -> list[bytes]:
    with pc.JournalReader(path, text=text) as reader:
        assert reader.check() == []
        return [record.data for record in reader]


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A path, whose writer process has to be gone after the test."""
    path = tmp_path / "events.log"
    yield path
    until(lambda: not folders(path), "the writer process did not remove its folder")


def server_of(path: Path) -> int:
    until(lambda: len(find_servers(path)) == 1, "there is not one writer process")
    return find_servers(path)[0]


def run(source: str, path: Path, code: int = 0) -> str:
    """Run a script that has a journal; return what it prints."""
    start = f"import os, signal, parcount as pc; path = {os.fspath(path)!r}; journal = pc.Journal(path, how='queue')\n"
    done = subprocess.run(
        [sys.executable, "-c", start + source], capture_output=True, text=True, timeout=TIME_LIMIT, check=False
    )
    assert (done.returncode, done.stderr) == (code, "")
    return done.stdout


# The ring


@given(st.lists(st.one_of(st.integers(0, 300), st.sampled_from(["write", "claim", "torn", "unreleased"])), max_size=60))
def test_what_a_killed_writer_process_has_begun_is_written_again_in_its_place(steps: list[int | str]) -> None:
    memory = mmap.mmap(-1, HEADER_BYTES + 1024)
    feeder, writer, file = Ring(memory, (MARKER, 7, 0, False)), Ring(memory), bytearray()
    expected: list[bytes] = []

    def write(ring: Ring, share: float = 1) -> None:
        offset, views = ring.claimed()
        data = b"".join(views)
        if data:
            data = data[: int(len(data) * share)]
            file[offset : offset + len(data)] = data

    for step in [*steps, "write", "write"]:
        if isinstance(step, int):
            data = bytes([step % 256]) * step
            if (code := feeder.append(data)) % OUTCOMES != FULL:
                assert code // OUTCOMES == len(expected)
                expected.append(data)
            continue
        if not writer.claimed()[1]:
            writer.claim(len(file))
        if step == "write":
            write(writer)
            writer.release()
        else:
            write(writer, {"claim": 0, "torn": 0.5, "unreleased": 1}[step])
            writer = Ring(memory)
    records, _, end, _ = scan(bytes(file), 0, len(file), MARKER, False, Record)
    assert [record[:3] for record in records] == [(data, 7, number) for number, data in enumerate(expected)]
    assert end == len(file)


def test_a_ring_asks_to_wake_the_writer_process_once() -> None:
    memory = mmap.mmap(-1, HEADER_BYTES + 4096)
    feeder, writer = Ring(memory, (None, 0, 0, False)), Ring(memory)
    assert not writer.sleep(2)
    assert [feeder.append(b"x") % OUTCOMES for _ in range(3)] == [WAKE, DONE, DONE]
    assert writer.sleep(2)  # there are records
    assert not writer.sleep(1)  # but few
    assert feeder.append(b"x" * 1000) % OUTCOMES == DONE
    assert feeder.append(b"x" * 1200) % OUTCOMES == WAKE  # half full
    assert writer.claim(0) == 4 * 2 - 2 + 1001 + 1201
    assert not writer.release()
    feeder.wait()
    assert writer.claim(0) == 0
    assert writer.release()
    assert not writer.release()


def test_a_ring_asks_now_and_then_whether_the_writer_process_lives() -> None:
    feeder = Ring(mmap.mmap(-1, HEADER_BYTES + (1 << 18)), (None, 0, 0, False))
    outcomes = [feeder.append(bytes(1023)) % OUTCOMES for _ in range(200)]
    assert outcomes.count(CHECK) == 3
    assert set(outcomes) == {DONE, CHECK}


def test_damaged_memory_is_no_ring() -> None:
    for content in (b"", bytes(100), bytes(HEADER_BYTES), bytes(HEADER_BYTES + 1000), bytes(HEADER_BYTES + 1024)):
        with pytest.raises(ValueError, match="ring"):
            Ring(bytearray(content))
    memory = bytearray(HEADER_BYTES + 1024)
    ring = Ring(memory, (MARKER, 1, 0, False))
    ring.append(b"data")
    memory[HEADER_BYTES + 12 : HEADER_BYTES + 16] = b"\xff" * 4  # the length of the first block
    ring.claim(0)
    with pytest.raises(ValueError, match="damaged"):
        ring.claimed()
    memory[136:144] = b"\x7f" * 8  # the head
    with pytest.raises(ValueError, match="damaged"):
        Ring(memory).claim(1)


# The journal


def test_threads_append_and_every_record_is_there_once(path: Path) -> None:
    with pc.Journal(path, how="queue") as journal:
        together(*(repeat(lambda name=name: journal.append(name), 500) for name in (b"a", b"b" * 100, b"c" * 3000)))
        journal.flush()
        assert len(read(path)) == 1500
    records = read(path)
    assert sorted(map(len, records)) == [1] * 500 + [100] * 500 + [3000] * 500


@pytest.mark.parametrize("text", [False, True])
def test_records_larger_than_the_ring_are_in_order(path: Path, text: bool) -> None:
    writer = QueueWriter(os.fspath(path), sync=False, text=text, capacity=4096)
    data = [bytes([65 + number % 26]) * (number * number) for number in range(150)]
    assert [writer.append(one) for one in data] == [*range(150)]
    writer.close()
    assert read(path, text=text) == data


def test_a_record_is_on_the_disk_when_it_has_been_appended(path: Path) -> None:
    with pc.Journal(path, how="queue", sync="record") as journal:
        for number in range(5):
            journal.append(b"%d" % number)
            assert read(path)[number] == b"%d" % number


def test_a_line_without_end_is_ended_first(path: Path) -> None:
    path.write_bytes(b"one\ntw")
    with pc.Journal(path, how="queue", text=True) as journal:
        journal.append("three")
        with pytest.raises(ValueError, match="newline"):
            journal.append("a\nb")
    assert read(path, text=True) == [b"one", b"tw", b"three"]


def test_other_ways_are_refused_while_a_queue_is_open(path: Path) -> None:
    with pc.Journal(path, how="queue") as journal:
        journal.append(b"first")
        with pytest.raises(OSError, match="queue") as caught:
            pc.Journal(path, how="lock")
        assert caught.value.errno == errno.EBUSY
        with pc.Journal(path) as other:
            assert other.how == "queue"
            other.append(b"second")
    with pc.Journal(path, how="lock") as journal:
        journal.append(b"third")
        with pytest.raises(OSError, match="lock"):
            pc.Journal(path, how="queue")
    assert sorted(read(path)) == [b"first", b"second", b"third"]


def test_a_closed_journal_takes_no_record(path: Path) -> None:
    journal = pc.Journal(path, how="queue")
    journal.append(b"one")
    again = pickle.loads(pickle.dumps(journal))
    journal.close()
    journal.close()
    with pytest.raises(ValueError, match="closed"):
        journal.append(b"two")
    again.append(b"three")
    again.close()
    assert read(path) == [b"one", b"three"]


@forks_beside_threads
def test_a_forked_child_is_a_writer_of_its_own(path: Path) -> None:
    printed = run(
        """
journal.append(b"parent")
child = os.fork()
for number in range(100):
    journal.append(b"child" if child == 0 else b"parent")
if child == 0:
    os._exit(0)  # without closing: what is in the ring is written all the same
print(os.waitpid(child, 0)[1])
journal.close()
""",
        path,
    )
    assert printed == "0\n"
    until(lambda: not folders(path), "the writer process did not end")
    with pc.JournalReader(path) as reader:
        records = [*reader]
    assert {(record.data, record.writer) for record in records}.__len__() == 2
    assert len(records) == 201


def test_a_process_that_ends_without_closing_loses_nothing(path: Path) -> None:
    run("[journal.append(b'%d' % number) for number in range(1000)]", path)
    run("[journal.append(b'x') for _ in range(1000)]; os.kill(os.getpid(), signal.SIGKILL)", path, -signal.SIGKILL)
    until(lambda: not folders(path), "the writer process did not end")
    assert read(path) == [b"%d" % number for number in range(1000)] + [b"x"] * 1000


@linux
def test_the_writer_process_belongs_to_nobody_and_ignores_ctrl_c(path: Path) -> None:
    with pc.Journal(path, how="queue") as journal:
        journal.append(b"one")
        server = server_of(path)
        assert os.getsid(server) not in (os.getsid(0), server)
        with pytest.raises(ChildProcessError):
            os.waitpid(server, os.WNOHANG)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(server, number)
        journal.append(b"two")
        journal.flush()
        assert find_servers(path) == [server]
        assert {Path(f"/proc/{server}/fd/{file}").readlink() for file in range(3)} == {Path(os.devnull)}
    until(lambda: not find_servers(path), "the writer process did not end")
    assert read(path) == [b"one", b"two"]


@linux
def test_a_killed_writer_process_is_replaced_and_nothing_is_lost_or_written_twice(path: Path) -> None:
    with pc.Journal(path, how="queue") as journal:
        for number in range(3):
            journal.append(b"%d" % number * 50)
            journal.flush()  # starts another writer process, which an append need not do
            for _ in range(299):
                journal.append(b"%d" % number * 50)
            os.kill(server_of(path), signal.SIGKILL)
            until(lambda: not find_servers(path), "the writer process was not killed")
        journal.flush()
    assert read(path) == [b"%d" % number * 50 for number in range(3) for _ in range(300)]


@linux
def test_what_is_left_when_all_are_killed_is_written_by_whoever_opens_the_journal_next(path: Path) -> None:
    run(
        """
from tests.files.journal.kill_writers import find_servers
journal.append(b"start")
journal.flush()
os.kill(find_servers(path)[0], signal.SIGSTOP)
for number in range(100): journal.append(b"%d" % number)
os.kill(find_servers(path)[0], signal.SIGKILL)
os.kill(os.getpid(), signal.SIGKILL)
""",
        path,
        -signal.SIGKILL,
    )
    assert folders(path)
    assert read(path) == [b"start"]
    opened: list[pc.Journal] = []

    def opens() -> list[pc.Journal]:
        with suppress(OSError):  # EBUSY: a killed process has its locks until it has ended
            opened.append(pc.Journal(path, how="lock"))
        return opened

    until(opens, "the journal is in use")
    with opened[0] as journal:
        assert not folders(path)
        journal.append(b"next")
    assert read(path) == [b"start", *(b"%d" % number for number in range(100)), b"next"]


@linux
def test_a_full_disk_is_an_error_until_there_is_room(path: Path) -> None:
    with pc.Journal(path, how="queue") as journal:
        journal.append(b"one")
        journal.flush()
        server, size = server_of(path), path.stat().st_size
        limits = resource.prlimit(server, resource.RLIMIT_FSIZE)
        resource.prlimit(server, resource.RLIMIT_FSIZE, (size + 10, limits[1]))
        journal.append(b"two")
        with pytest.raises(OSError, match=r"events\.log") as caught:
            journal.flush()
        assert caught.value.errno == errno.EFBIG
        with pytest.raises(OSError, match=r"events\.log"):
            journal.append(b"refused")
        assert read(path) == [b"one"]
        assert path.stat().st_size == size
        resource.prlimit(server, resource.RLIMIT_FSIZE, limits)

        def accepted() -> bool:
            try:
                journal.append(b"three")
            except OSError:
                return False
            return True

        until(accepted, "the writer process did not try again")
    assert read(path) == [b"one", b"two", b"three"]


def test_a_writer_process_that_cannot_start_says_why(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", ["/nonexistent"])
    with pc.Journal(path, how="queue") as journal:
        with pytest.raises(OSError, match=r"does not start: ModuleNotFoundError"):
            journal.append(b"one")
        monkeypatch.undo()
        journal.append(b"two")
    assert read(path) == [b"two"]


def test_a_folder_that_cannot_be_made_is_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pc.Journal(path, how="queue") as journal:
        blocked = queue_module.queue_folder(os.fspath(path), journal.fileno())
        blocked.write_bytes(b"")
        with pytest.raises(FileExistsError):
            journal.append(b"one")
        blocked.unlink()
        journal.append(b"two")
    assert read(path) == [b"two"]
