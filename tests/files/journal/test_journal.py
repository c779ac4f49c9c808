"""Appending by each way: from threads and processes, with errors and forks."""

import errno
import multiprocessing
import os
import pickle
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import parcount as pc
from tests.conftest import Run
from tests.files.journal.support import assert_in_order, damages, data_of, read
from tests.files.journal.workers import append_numbers
from tests.plain import TIME_LIMIT
from tests.together import together

pytestmark = [
    pytest.mark.thread_unsafe(reason="starts threads and processes of its own"),
    pytest.mark.skipif(sys.platform == "win32", reason="journals are not written there"),
]

WAYS = ["lock", "reserve"] if sys.platform == "linux" else ["lock"]  # test_queue.py has the third

SIZES = st.one_of(st.integers(0, 200), st.sampled_from([4096, 4097, 1 << 15, (1 << 15) + 1, 1 << 20]))


@pytest.fixture(params=WAYS)
def how(request: pytest.FixtureRequest) -> str:
    way: str = request.param
    return way


@pytest.mark.parametrize("how", WAYS)
@given(sizes=st.lists(st.lists(SIZES, max_size=6), min_size=1, max_size=3))
@settings(max_examples=8)
def test_what_was_appended_is_read(how: str, sizes: list[list[int]]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "journal"
        expected = []
        for some in sizes:
            with pc.Journal(path, how=how) as journal:
                assert journal.how == how
                for sequence, size in enumerate(some):
                    data = os.urandom(min(size, 50)).ljust(size, b"\0")
                    assert journal.append(data) == sequence
                    expected.append(data)
                journal.flush()
                assert [record.data for record in journal] == expected
        assert data_of(path) == expected
        assert damages(path) == []


@pytest.mark.parametrize(
    "data", [bytearray(b"abcd"), memoryview(b"abcd"), np.frombuffer(b"abcd", np.uint16), np.frombuffer(b"abcd", "S4")]
)
def test_everything_like_bytes_is_data(how: str, data: Any, tmp_path: Path) -> None:
    with pc.Journal(tmp_path / "journal", how=how) as journal:
        journal.append(data)
    assert data_of(tmp_path / "journal") == [b"abcd"]


def test_a_str_is_no_data_and_costs_nothing(how: str, tmp_path: Path) -> None:
    with pc.Journal(tmp_path / "journal", how=how) as journal:
        with pytest.raises(TypeError, match="bytes-like"):
            journal.append("abc")
        assert journal.append(b"abc") == 0


@pytest.mark.skipif(sys.maxsize < 2**33, reason="there are no longer records")
def test_a_record_that_is_too_long_is_refused(how: str, tmp_path: Path) -> None:
    longer = np.memmap(tmp_path / "sparse", np.uint8, "w+", shape=2**32)
    with pc.Journal(tmp_path / "journal", how=how) as journal, pytest.raises(ValueError, match="at most 4294967295"):
        journal.append(longer)
    assert data_of(tmp_path / "journal") == []


def test_threads_lose_nothing_and_keep_their_order(how: str, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with pc.Journal(path, how=how) as journal:

        def append(name: int) -> Callable[[], None]:
            def run() -> None:
                for number in range(200):
                    journal.append(b"%d %d " % (name, number) + bytes(number * 30 if name % 2 else 50))

            return run

        together(*map(append, range(12)))
    assert_in_order(read(path), 200)
    assert len(read(path)) == 12 * 200
    assert damages(path) == []


@pytest.mark.parametrize(("way", "start"), [(WAYS[0], "fork"), (WAYS[-1], "fork"), (WAYS[-1], "spawn")])
@pytest.mark.forks
def test_processes_lose_nothing_and_keep_their_order(way: Any, start: Any, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    context = multiprocessing.get_context(start)
    workers, count = (4, 500) if start == "fork" else (1, 500)
    with pc.Journal(path, how=way) as journal:
        barrier = context.Barrier(workers + 1)
        processes = [
            context.Process(target=append_numbers, args=(journal, count, i * 40, barrier)) for i in range(workers)
        ]
        for process in processes:
            process.start()
        append_numbers(journal, count, 10, barrier)
        for process in processes:
            process.join(TIME_LIMIT)
            assert process.exitcode == 0
    records = read(path)
    assert len(records) == (workers + 1) * count
    assert_in_order(records, count)
    assert damages(path) == []


def test_executors_take_it(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    context = multiprocessing.get_context("spawn")
    with pc.Journal(path, how="lock") as journal, ProcessPoolExecutor(1, context) as pool:
        pool.submit(append_numbers, journal, 3).result(TIME_LIMIT)
    assert_in_order(read(path), 3)


def test_a_pickled_one_opens_the_same_file(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pc.Journal("journal", how=how, sync=30.0) as journal:
        copied = pickle.dumps(journal)
        monkeypatch.chdir("/")
        with pickle.loads(copied) as other:
            assert (other.path, other.how, other.sync_policy, other.text) == (journal.path, how, 30.0, False)
            journal.append(b"one")
            other.append(b"two")
    assert sorted(data_of(tmp_path / "journal")) == [b"one", b"two"]
    with pytest.raises(ValueError, match="closed"):
        pickle.dumps(journal)


def test_a_closed_one_refuses_records(how: str, tmp_path: Path) -> None:
    journal = pc.Journal(tmp_path / "journal", how=how)
    journal.close()
    journal.close()
    with pytest.raises(ValueError, match="closed"):
        journal.append(b"")


def test_one_that_is_forgotten_is_closed(how: str, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    pc.Journal(path, how=how).append(b"one")
    for other in WAYS:
        pc.Journal(path, how=other).append(b"two")
    assert data_of(path) == [b"one"] + [b"two"] * len(WAYS)


@pytest.mark.parametrize("other", ["lock", "queue", "reserve"])
def test_two_ways_at_once_are_refused(how: str, other: str, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with pc.Journal(path, how=how) as journal:
        journal.append(b"one")
        if other != how:
            with pytest.raises(OSError, match=f"how='{how}'") as caught:
                pc.Journal(path, how=other)
            assert caught.value.errno == errno.EBUSY
        with pc.Journal(path) as automatic:
            assert automatic.how == how
            automatic.append(b"two")
    with pc.Journal(path, how=other) as journal:
        journal.append(b"three")
    assert data_of(path) == [b"one", b"two", b"three"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"how": "hope"}, "how must be"),
        ({"sync": "often"}, "sync must be"),
        ({"sync": 0}, "positive"),
        ({"sync": float("nan")}, "positive"),
        ({"text": True, "how": "reserve"}, "text needs another way"),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        pc.Journal(tmp_path / "journal", **options)
    assert not (tmp_path / "journal").exists()


def test_no_folder_no_permission(tmp_path: Path, how: str) -> None:
    with pytest.raises(FileNotFoundError):
        pc.Journal(tmp_path / "none" / "journal", how=how)
    with pytest.raises(IsADirectoryError):
        pc.Journal(tmp_path, how=how)


class TestText:
    def test_lines(self, tmp_path: Path) -> None:
        path = tmp_path / "log"
        with pc.Journal(path, text=True) as journal:
            assert journal.how == "lock"
            assert [journal.append(line) for line in ("ä", b"\xff\r", "", "x" * 5000)] == [0, 1, 2, 3]
            with pytest.raises(ValueError, match="newline"):
                journal.append("a\nb")
            assert [(record.sequence, record.offset) for record in journal] == [(0, 0), (1, 3), (2, 6), (3, 7)]
        assert path.read_bytes() == "ä\n".encode() + b"\xff\r\n\n" + b"x" * 5000 + b"\n"
        assert damages(path, text=True) == []

    def test_a_line_without_an_end_is_ended(self, tmp_path: Path) -> None:
        path = tmp_path / "log"
        path.write_bytes(b"whole\nto")
        assert data_of(path, text=True) == [b"whole"]
        assert [(each.offset, each.size, each.kind) for each in damages(path, text=True)] == [(6, 2, "torn")]
        with pc.Journal(path, text=True) as journal:
            journal.append("next")
            journal.append("x" * 5000)
        assert path.read_bytes() == b"whole\nto\nnext\n" + b"x" * 5000 + b"\n"

    def test_two_formats(self, tmp_path: Path) -> None:
        pc.Journal(tmp_path / "journal").close()
        for open_it in (pc.Journal, pc.JournalReader):
            with pytest.raises(ValueError, match="not with lines of text"):
                open_it(tmp_path / "journal", text=True)
        with pc.Journal(tmp_path / "log", text=True) as journal:
            with pytest.raises(OSError, match="open as a text journal"):
                pc.Journal(tmp_path / "log", how="lock")
            journal.append("line")
        with pytest.raises(ValueError, match="is not a journal"):
            pc.Journal(tmp_path / "log")

    def test_lines_are_whole(self, tmp_path: Path) -> None:
        path = tmp_path / "log"
        with pc.Journal(path, text=True) as one, pc.Journal(path, text=True) as other:

            def append(journal: pc.Journal, letter: str) -> Callable[[], None]:
                return lambda: [journal.append(letter * size * 40) for size in range(300)] and None

            together(*(append(journal, letter) for journal, letter in zip([one, other] * 2, "abcd", strict=True)))
        lines = path.read_text().splitlines()
        for letter in "abcd":
            assert [line for line in lines if letter in line] == [letter * size * 40 for size in range(1, 300)]


class TestSync:
    @pytest.fixture
    def synced(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """Return a list that grows with each call that writes to the disk."""
        calls: list[int] = []
        name = "fdatasync" if hasattr(os, "fdatasync") else "fsync"
        monkeypatch.setattr(os, name, calls.append)
        return calls

    def test_never(self, how: Any, synced: list[int], tmp_path: Path) -> None:
        with pc.Journal(tmp_path / "journal", how=how) as journal:
            journal.append(b"")
        assert synced == []
        with pc.Journal(tmp_path / "journal", how=how) as journal:
            journal.sync()
            assert len(synced) == 1

    def test_when_closed(self, how: Any, synced: list[int], tmp_path: Path) -> None:
        with pc.Journal(tmp_path / "journal", how=how, sync="close") as journal:
            journal.append(b"")
            assert synced == []
        assert len(synced) == 1

    def test_each_record(self, how: Any, synced: list[int], tmp_path: Path) -> None:
        with pc.Journal(tmp_path / "journal", how=how, sync="record") as journal:
            for count in range(1, 4):
                journal.append(b"")
                assert len(synced) == count

    def test_after_seconds(self, how: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        called = threading.Semaphore(0)
        with pc.Journal(tmp_path / "journal", how=how, sync=0.01) as journal:
            monkeypatch.setattr(journal._writer, "sync", called.release)
            for _ in range(2):
                journal.append(b"")
                assert called.acquire(timeout=TIME_LIMIT)

    def test_an_error_is_raised_by_the_next_append(
        self, how: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        failed = threading.Event()

        def fail() -> None:
            failed.set()
            raise OSError(errno.EIO, "broken")

        with pc.Journal(tmp_path / "journal", how=how, sync=0.01) as journal:
            with monkeypatch.context() as patch:
                patch.setattr(journal._writer, "sync", fail)
                journal.append(b"")
                assert failed.wait(TIME_LIMIT)
                journal._syncer._thread.join(TIME_LIMIT)
                with pytest.raises(OSError, match="broken"):
                    journal.append(b"")
            journal.append(b"")


FULL = """
import os, resource, sys
import parcount as pc

path, how, text = sys.argv[1], sys.argv[2], sys.argv[3] == "text"
with pc.Journal(path, how=how, text=text) as journal:
    appended = 0
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_436, 400_436))
    try:
        while True:
            journal.append(b"x" * 3000)
            appended += 1
    except OSError as error:
        print(error.errno)
    try:
        journal.append(b"x" * 1_000_000)
    except OSError as error:
        print(error.errno)
    for _ in range(3):
        journal.append(b"y")
    print(appended)
"""


@pytest.mark.parametrize(("way", "form"), [("lock", "blocks"), ("lock", "text"), ("reserve", "blocks")])
def test_no_room_is_an_error_and_the_journal_stays_valid(way: str, form: str, tmp_path: Path, run_script: Run) -> None:
    if way not in WAYS:
        pytest.skip("there is no such way here")
    path = tmp_path / "journal"
    done = run_script(f"import sys\nsys.argv += [{str(path)!r}, {way!r}, {form!r}]\n{FULL}")
    assert done.returncode == 0, done.stderr
    first, second, appended = map(int, done.stdout.split())
    assert first == second == errno.EFBIG
    assert 100 < appended < 140
    assert data_of(path, text=form == "text") == [b"x" * 3000] * appended + [b"y"] * 3
    assert damages(path, text=form == "text") == []


FORK = """
import os, sys, threading
import parcount as pc

path, how = sys.argv[1:]
with pc.Journal(path, how=how, sync=60.0) as journal:
    stopped = threading.Event()
    def run(number=0):
        while not stopped.is_set():
            journal.append(b"%d %d" % (threading.get_native_id(), number)); number += 1
    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads: thread.start()
    children = []
    for child in range(5):
        pid = os.fork()
        if not pid:
            for number in range(50):
                journal.append(b"child%d %d" % (child, number))
            journal.close()
            os._exit(0)
        children.append(pid)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    stopped.set()
    for thread in threads: thread.join()
"""


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_forked_children_of_a_process_whose_threads_append(how: str, tmp_path: Path, run_script: Run) -> None:
    path = tmp_path / "journal"
    done = run_script(f"import sys\nsys.argv += [{str(path)!r}, {how!r}]\n{FORK}")
    assert done.returncode == 0, done.stderr
    records = read(path)
    children = [record for record in records if record.data.startswith(b"child")]
    assert len(children) == 250
    assert_in_order(children, 50)
    assert damages(path) == []


def test_a_removed_file_is_written_on(how: str, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with pc.Journal(path, how=how) as journal, pc.JournalReader(path) as reader:
        journal.append(b"one")
        path.unlink()
        journal.append(b"two")
        journal.flush()
        assert [record.data for record in reader] == [b"one", b"two"]
        with pc.Journal(path) as other:
            other.append(b"new")
    assert data_of(path) == [b"new"]


def test_repr(tmp_path: Path) -> None:
    with pc.Journal(tmp_path / "journal", how="lock", sync=2.0) as journal:
        assert repr(journal) == f"Journal({str(tmp_path / 'journal')!r}, how='lock', sync=2.0, text=False)"
