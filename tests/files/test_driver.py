"""The driver counts every byte once, however inputs are divided, and whatever happens to them."""

from __future__ import annotations

import gzip
import io
import os
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

import parcount as pc
from parcount.execution.interpreters import missing
from parcount.files import driver
from parcount.files.count import RecordError
from parcount.files.driver import run
from parcount.files.inputs import FileChanged, find_inputs
from parcount.files.totals import Totals
from tests.files.quoted_lines import Lines, QuotedLines, count_naively
from tests.remote import TIME_LIMIT

ALL = Totals(frozenset({"lines", "words", "bytes"}))

TEXT = st.lists(st.sampled_from([b"a", b"bc", b" ", b"\n", b"\n", b'"', b"\t", b"\0", b"\xff", b"x" * 40])).map(
    b"".join
)


@contextmanager
def tiny_pieces(chunk: int = 16, block: int = 8) -> Iterator[None]:
    """So that a few bytes are divided as gigabytes are otherwise."""
    sizes = {"BLOCK_SIZE": block, "STREAM_BLOCK_SIZE": block, "HEAD_SIZE": 4, "MIN_CHUNK_SIZE": 1, "FILE_COST": 1}
    with patch.multiple(driver, MAX_CHUNK_SIZE=chunk, MAX_REMOTE_CHUNK_SIZE=chunk, MAX_RUN=32, **sizes):
        yield


def totals(partial: Any) -> tuple[int, int, int]:
    return partial.lines, partial.words, partial.bytes


def totals_of(data: bytes) -> tuple[int, int, int]:
    words = [word for word in data.split() if any(0x20 < byte < 0x7F for byte in word)]
    return data.count(b"\n"), len(words), len(data)


@given(st.lists(TEXT, max_size=4), st.integers(1, 3), st.integers(1, 40))
def test_totals_of_each_file(tmp_path_factory: Any, contents: list[bytes], threads: int, chunk: int) -> None:
    folder = tmp_path_factory.mktemp("files")
    paths = []
    for number, data in enumerate(contents):
        path = folder / f"{number}{'.gz' if number % 3 == 2 else ''}"
        path.write_bytes(gzip.compress(data) if path.suffix else data)
        paths.append(path)
    sources = [*paths, io.BytesIO(b"from an object\n" * 5)]
    with tiny_pieces(chunk):
        counted = run(ALL, find_inputs(sources), threads=threads)
    expected = [*contents, b"from an object\n" * 5]
    assert [totals(partial) for _, partial in counted] == list(map(totals_of, expected))


@given(st.lists(TEXT, max_size=3), st.booleans(), st.booleans(), st.integers(1, 3), st.integers(1, 40))
def test_records_that_only_the_one_before_tells(
    tmp_path_factory: Any, contents: list[bytes], header: bool, streams: bool, threads: int, chunk: int
) -> None:
    folder = tmp_path_factory.mktemp("files")
    paths = [folder / str(number) for number in range(len(contents))]
    for path, data in zip(paths, contents, strict=True):
        path.write_bytes(data)
    with tiny_pieces(chunk):
        sources = [io.BytesIO(data) for data in contents] if streams else paths
        counted = run(QuotedLines(header), find_inputs(sources), threads=threads)
    found = counted[0][1].counts if counted else Counter()
    assert found == sum((count_naively(data, header=header) for data in contents), Counter())


EXECUTIONS = {
    "serial": lambda: pc.Serial(),
    "threads": lambda: pc.Threads(2),
    "processes": lambda: pc.Processes(2),
    "adopted": lambda: pc.Adopted(ThreadPoolExecutor(2)),
}


@pytest.mark.parametrize("name", EXECUTIONS)
@pytest.mark.parametrize("kind", [ALL, Lines(), QuotedLines(True)])
def test_any_execution(tmp_path: Path, name: str, kind: Any) -> None:
    quoted = b'"quoted\nline"\n' if type(kind) is QuotedLines else b"line\n"
    data = [b"first line\n" * 30 + quoted * 9, b"", b"other line\n" * 20 + b"no end"]
    paths = [tmp_path / name for name in "abc"]
    for path, content in zip(paths, data, strict=True):
        path.write_bytes(content)
    sources = [*paths, io.BytesIO(b"first line\n" * 50)]
    with tiny_pieces(100, 32), EXECUTIONS[name]() as execution:
        counted = run(kind, find_inputs(sources), on=execution)
    contents = [*data, b"first line\n" * 50]
    if kind is ALL:
        assert [totals(partial) for _, partial in counted] == list(map(totals_of, contents))
    else:
        expected = [count_naively(text, header=kind.header) for text in contents]
        assert counted[0][1].counts == sum(expected, Counter())


@pytest.mark.skipif(missing() is not None, reason="no subinterpreters")
def test_interpreters(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a b\n" * 100)
    try:
        ((_, partial),) = run(ALL, find_inputs([tmp_path / "a"]), on=pc.Interpreters(2))
    except ImportError as error:
        assert "parcount" in str(error)  # noqa: PT017 - names the module that cannot be loaded there
    else:
        assert totals(partial) == (100, 200, 400)


def test_many_small_files_travel_together(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"{number:03}").write_bytes(b"line\n" * number)
    calls = []
    real = driver.Worker.__call__

    def counting(self: driver.Worker, chunks: Any) -> Any:
        calls.append(len(chunks))
        return real(self, chunks)

    with patch.object(driver.Worker, "__call__", counting):
        counted = run(ALL, find_inputs([tmp_path], recursive=True), threads=2)
    assert [totals(partial) for _, partial in counted] == [(number, number, 5 * number) for number in range(300)]
    assert sum(calls) == 300
    assert len(calls) < 30


def test_a_stream_without_an_end_of_a_record_takes_no_more_memory() -> None:
    with tiny_pieces(), patch.object(driver, "FILE_COST", 0):
        ((_, partial),) = run(ALL, find_inputs([io.BytesIO(b"a b " + b"x" * 1000 + b" c\n")]), threads=2)
    assert totals(partial) == (1, 4, 1007)


def test_progress_ends_with_everything(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"line\n" * 100)
    (tmp_path / "b.gz").write_bytes(gzip.compress(b"line\n" * 100))
    seen: list[tuple[int, int]] = []
    with tiny_pieces():
        run(ALL, find_inputs(sorted(tmp_path.iterdir())), threads=2, progress=lambda *at: seen.append(at))
    total = 500 + (tmp_path / "b.gz").stat().st_size
    assert seen == sorted(seen)
    assert seen[-1] == (total, total)
    assert len(seen) > 10


class Stop(Exception):
    pass


def test_an_exception_in_the_progress_ends_the_count_and_its_threads(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"line\n" * 1000)

    def stop(done: int, total: int) -> None:
        raise Stop

    before = threading.active_count()
    with tiny_pieces(), pytest.raises(Stop):
        run(Lines(), find_inputs([tmp_path / "a"]), threads=2, progress=stop)
    assert threading.active_count() == before


def test_what_fails_is_left_out_and_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"line\n")
    (tmp_path / "bad.gz").write_bytes(b"not compressed")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(os.urandom(1000))[:-100])
    errors: list[tuple[str, str]] = []
    paths = ["a", "missing", ".", "bad.gz", "cut.gz", "a"]
    inputs = find_inputs(
        [tmp_path / path for path in paths], on_error=lambda name, error: errors.append((name, error.strerror))
    )
    counted = run(ALL, inputs, threads=2, on_error=lambda name, error: errors.append((name, error.strerror)))
    assert [source.name for source, _ in counted] == [str(tmp_path / "a")] * 2
    assert [(Path(name).name, text.partition(":")[0]) for name, text in errors] == [
        ("missing", "No such file or directory"),
        (tmp_path.name, "Is a directory"),
        ("bad.gz", "cannot be decompressed"),
        ("cut.gz", "compressed data ends early"),
    ]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_without_permission(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"line\n")
    (tmp_path / "a").chmod(0)
    with pytest.raises(PermissionError):
        run(ALL, find_inputs([tmp_path / "a"]))


@pytest.mark.parametrize("size", [0, 10, 2000])
@pytest.mark.parametrize("kind", [ALL, Lines(), QuotedLines()])
def test_a_file_that_shrinks_or_grows(tmp_path: Path, size: int, kind: Any) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"line\n" * 100)

    def change(done: int, total: int) -> None:
        os.truncate(path, size)

    with tiny_pieces(), pytest.raises(FileChanged, match="file changed while it was counted"):
        run(kind, find_inputs([path]), threads=2, progress=change)


def test_a_record_that_cannot_be_counted_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"line\n" * 100 + b"wrong!\n")
    with tiny_pieces(), pytest.raises(RecordError, match=r"a, byte 505: an exclamation mark$"):
        run(QuotedLines(), find_inputs([tmp_path / "a"]), threads=2)


def test_a_fifo(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no FIFOs")
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=[b"one word\n" * 10_000])
    writer.start()
    ((_, partial),) = run(ALL, find_inputs([tmp_path / "pipe"]), threads=2)
    writer.join(TIME_LIMIT)
    assert totals(partial) == (10_000, 20_000, 90_000)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc here")
def test_files_of_proc_have_contents_without_a_size() -> None:
    ((_, partial),) = run(ALL, find_inputs(["/proc/self/status"]))
    assert partial.lines > 10


def test_both_threads_and_on_are_refused() -> None:
    with pytest.raises(ValueError, match="give one of the two"):
        run(ALL, [], threads=1, on=pc.Serial())
    with pytest.raises(TypeError, match="on= takes an execution"):
        run(ALL, [], on=2)
