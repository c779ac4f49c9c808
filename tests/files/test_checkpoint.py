"""A count with a journal continues after anything, and refuses what is not the same count."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

import parcount as pc
from parcount.files import checkpoint, driver
from parcount.files.checkpoint import Checkpoint
from parcount.files.driver import run
from parcount.files.inputs import FileChanged, find_inputs
from parcount.files.totals import Totals
from tests.files import kill_count
from tests.files.quoted_lines import Lines, QuotedLines, count_naively
from tests.files.test_driver import TEXT, tiny_pieces, totals, totals_of
from tests.remote import TIME_LIMIT

if sys.platform == "win32":
    pytest.skip("a journal cannot be written on Windows", allow_module_level=True)

resource = pytest.importorskip("resource")

ALL = Totals(frozenset({"lines", "words", "bytes"}))
OPTIONS = {"totals": ["lines"]}


class Stop(Exception):
    pass


@contextmanager
def tiny_chunks() -> Iterator[None]:
    with tiny_pieces(), patch.multiple(checkpoint, CHUNK_SIZES=(16, 16), TABLE_CHUNK_SIZES=(16, 16)):
        yield


def count(
    kind: Any,
    paths: list[Path],
    journal: Path,
    *,
    stop_after: int | None = None,
    threads: int = 2,
    options: Any = OPTIONS,
) -> Any:
    """Count files; raise Stop after some chunks."""
    left = stop_after

    def progress(done: int, total: int) -> None:
        nonlocal left
        if left is not None:
            left -= 1
            if left < 0:
                raise Stop

    inputs = find_inputs(paths)
    with tiny_chunks(), Checkpoint(str(journal), kind, options, inputs) as opened:
        return run(kind, inputs, threads=threads, checkpoint=opened, progress=progress)


@given(contents=st.lists(TEXT, min_size=1, max_size=3), stops=st.lists(st.integers(0, 5), max_size=3), data=st.data())
def test_continued_after_interruptions(
    tmp_path_factory: Any, contents: list[bytes], stops: list[int], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("files")
    paths = [folder / str(number) for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    kind = data.draw(st.sampled_from([ALL, Lines(), QuotedLines(), QuotedLines(True)]))
    if type(kind) is Lines:
        for path, content in zip(paths, contents, strict=True):
            path.write_bytes(content.replace(b'"', b""))
    journal = folder / "journal"
    for stop in stops:
        with suppress(Stop):
            count(kind, paths, journal, stop_after=stop, threads=1 + stop % 3)
    for _ in range(2):  # the second time from the journal alone
        counted = count(kind, paths, journal)
        if kind is ALL:
            assert [totals(partial) for _, partial in counted] == list(map(totals_of, contents))
        else:
            expected = [count_naively(path.read_bytes(), header=kind.header) for path in paths]
            assert counted[0][1].counts == sum(expected, Counter())


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text"
    path.write_bytes(b"one line of many\n" * 100)
    return path


def interrupted(text: Path, **more: Any) -> Path:
    """The journal of a count of a text that has been interrupted."""
    journal = text.with_name("journal")
    with pytest.raises(Stop):
        count(ALL, [text], journal, stop_after=20, **more)
    return journal


def records(journal: Path) -> list[bytes]:
    with pc.JournalReader(journal) as reader:
        return [record.data for record in reader]


def test_what_was_counted_is_not_counted_again(text: Path) -> None:
    journal = interrupted(text)
    chunks = []
    real = driver.Worker.__call__

    def counting(self: driver.Worker, items: Any) -> Any:
        chunks.extend(items)
        return real(self, items)

    with patch.object(driver.Worker, "__call__", counting):
        ((_, partial),) = count(ALL, [text], journal)
        assert totals(partial) == (100, 400, 1700)
        assert 0 < len(chunks) <= 100 - 20
        chunks.clear()
        ((_, partial),) = count(ALL, [text], journal)
    assert totals(partial) == (100, 400, 1700)
    assert chunks == []


def replace_boundary(text: Path) -> None:
    """Change a byte, and neither the size nor the time."""
    status = text.stat()
    with text.open("r+b") as file:
        file.seek(160)
        file.write(b"\n")
    os.utime(text, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.write_bytes(b"longer\n" * 1000), "it had 1700 bytes and has 7000"),
        (lambda text: os.utime(text, ns=(1, 1)), "it was written"),
        (replace_boundary, "its contents are others"),
    ],
)
def test_an_input_that_was_changed_is_refused(text: Path, change: Any, message: str) -> None:
    journal = interrupted(text)
    before = records(journal)
    change(text)
    with pytest.raises(FileChanged, match=f"file changed since the journal was begun: {message}"):
        count(ALL, [text], journal)
    assert records(journal) == before


def test_other_options_or_files_are_refused(text: Path) -> None:
    journal = interrupted(text)
    other = text.with_name("other")
    other.write_bytes(b"more\n")
    with pytest.raises(ValueError, match=r"of a count with other options: totals$"):
        count(ALL, [text], journal, options={"totals": ["words"]})
    with pytest.raises(ValueError, match=r"of a count of other files: now with .*other$"):
        count(ALL, [text, other], journal)
    with pytest.raises(ValueError, match=r"of a count of other files: now without .*text$"):
        count(ALL, [other], journal)


@pytest.mark.parametrize("name", ["-", "a.gz"])
def test_what_cannot_be_continued_is_refused(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.gz").touch()
    with (tmp_path / "a.gz").open("rb") as file, patch("sys.stdin", file):
        inputs = find_inputs([name])
    with pytest.raises(ValueError, match=r"a journal is for regular, uncompressed files$"):
        Checkpoint("journal", ALL, OPTIONS, inputs)
    assert not (tmp_path / "journal").exists()


def test_two_counts_with_one_journal_are_refused(text: Path) -> None:
    journal = text.with_name("journal")
    inputs = find_inputs([text])
    with (
        Checkpoint(str(journal), ALL, OPTIONS, inputs),
        pytest.raises(OSError, match="another count uses this journal"),
    ):
        Checkpoint(str(journal), ALL, OPTIONS, inputs)
    with Checkpoint(str(journal), ALL, OPTIONS, inputs):
        pass


def test_another_file_is_no_journal(text: Path) -> None:
    with pytest.raises(ValueError, match="journal"):
        count(ALL, [text], text)
    assert text.read_bytes() == b"one line of many\n" * 100
    records = text.with_name("records")
    with pc.Journal(records) as journal:
        journal.append(b"not of a count")
    with pytest.raises(ValueError, match="it is not the journal of a count"):
        count(ALL, [text], records)


@pytest.mark.parametrize("first", [True, False])
def test_damaged_records_are_counted_again(text: Path, first: bool) -> None:
    journal = interrupted(text)
    with pc.JournalReader(journal) as reader:
        offsets = [record.offset for record in reader]
    for offset in offsets[:1] if first else offsets[3::4]:
        with journal.open("r+b") as file:
            file.seek(offset + 40)
            file.write(b"\xff\xff")
    if first:
        with pytest.raises(ValueError, match="its first record is damaged"):
            count(ALL, [text], journal)
    else:
        ((_, partial),) = count(ALL, [text], journal)
        assert totals(partial) == (100, 400, 1700)


def test_a_full_disk_ends_the_count_and_leaves_a_journal_that_is_valid(text: Path) -> None:
    journal = text.with_name("journal")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, ((1 << 16) + 2000, limits[1]))
        with pytest.raises(OSError, match=r"File too large|No space"):
            count(ALL, [text], journal)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    ((_, partial),) = count(ALL, [text], journal)
    assert totals(partial) == (100, 400, 1700)


def test_processes_record_what_they_count(text: Path) -> None:
    journal = text.with_name("journal")
    inputs = find_inputs([text])
    with tiny_chunks(), pc.Processes(2) as processes:
        for _ in range(2):
            with Checkpoint(str(journal), ALL, OPTIONS, inputs) as opened:
                ((_, partial),) = run(ALL, inputs, on=processes, checkpoint=opened)
            assert totals(partial) == (100, 400, 1700)


def test_ctrl_c_and_the_same_command_again(text: Path) -> None:
    """Of the command; the child interrupts itself after a chunk."""
    text.write_bytes(b"one line of many\n" * 400_000)
    journal = text.with_name("journal")
    script = text.with_name("script.py")
    script.write_text(
        "import os, signal\n"
        "from parcount.cli import run\n"
        "from parcount.report.progress_line import ProgressLine\n"
        "ProgressLine.__call__ = lambda *at: os.kill(os.getpid(), signal.SIGINT)\n"
        "run()\n"
    )
    words = ["count", "--lines", "--words", "--journal", str(journal), str(text)]
    done = subprocess.run([sys.executable, script, *words], capture_output=True, timeout=TIME_LIMIT, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")
    done = subprocess.run(
        [sys.executable, "-m", "parcount", *words], capture_output=True, timeout=TIME_LIMIT, check=False
    )
    assert done.stdout.split() == [b"400000", b"1600000", os.fsencode(text)]


@pytest.mark.slow
def test_kills_at_random_instants() -> None:
    outcome = kill_count.run(10, seed=1)
    assert outcome.kills == 10
    assert (outcome.wrong, outcome.repeated) == (0, 0)
    assert outcome.most_lost <= kill_count.WORKERS
