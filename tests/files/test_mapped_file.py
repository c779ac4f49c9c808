"""Parts of files in memory, also of files that are truncated meanwhile."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from parcount.files import driver, inputs
from parcount.files.inputs import FileChanged, find_inputs
from parcount.files.totals import Totals, TotalsPartial

if sys.platform == "win32":
    pytest.skip("files are read on Windows", allow_module_level=True)

from parcount._native.mapped_file import MappedFile

PAGE = os.sysconf("SC_PAGE_SIZE")

SENT_OR_CAUSED = """
import faulthandler, mmap, os, signal, sys
path, cause = sys.argv[1:]
from parcount._native.mapped_file import MappedFile
with open(path, "r+b") as file:
    def use():
        with MappedFile(file.fileno(), 0, 1) as view:
            bytes(view)
    use()
    if "faulthandler" in cause:
        faulthandler.enable()  # its handler sets ours, which was before it
        use()
    if "caused" in cause:
        other = mmap.mmap(file.fileno(), 0)
        os.truncate(path, 0)
        other[-1]
    signal.raise_signal(signal.SIGBUS)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"word\n" * PAGE)
    return path


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (0, PAGE), (1, PAGE + 1), (PAGE - 1, PAGE + 1), (3, 5 * PAGE)])
def test_any_part_of_a_file(path: Path, start: int, stop: int) -> None:
    with path.open("rb") as file, MappedFile(file.fileno(), start, stop) as view:
        assert view.readonly
        assert bytes(view) == path.read_bytes()[start:stop]


def test_what_is_truncated_is_zeros(path: Path) -> None:
    with path.open("rb") as file:
        mapped = MappedFile(file.fileno(), 1, 5 * PAGE)
        with mapped as view:
            os.truncate(path, PAGE + 10)
            assert bytes(view) == (b"word\n" * PAGE)[1 : PAGE + 10] + bytes(4 * PAGE - 10)
        assert mapped.failed
        whole = MappedFile(file.fileno(), 0, PAGE + 10)
        with whole as view:
            assert bytes(view) == (b"word\n" * PAGE)[: PAGE + 10]
        assert not whole.failed


@pytest.mark.parametrize("cause", ["sent", "sent, faulthandler", "caused", "caused, faulthandler"])
def test_other_bus_errors_end_the_process(path: Path, cause: str) -> None:
    environment = {**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":handle_sigbus=0"}
    command = [sys.executable, "-c", SENT_OR_CAUSED, str(path), cause]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False, env=environment)
    assert done.returncode == -signal.SIGBUS
    assert (b"Fatal Python error" in done.stderr) == ("faulthandler" in cause)


def test_a_handler_of_python_gets_what_is_sent(path: Path) -> None:
    code = """
import signal, sys
from parcount._native.mapped_file import MappedFile
signal.signal(signal.SIGBUS, lambda *_: print("handled"))
with open(sys.argv[1], "rb") as file, MappedFile(file.fileno(), 0, 1):
    for _ in range(3):
        signal.raise_signal(signal.SIGBUS)
"""
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "handled\n" * 3


def test_a_view_cannot_outlive_the_mapping(path: Path) -> None:
    with path.open("rb") as file:
        mapped = MappedFile(file.fileno(), 0, 5)
        with mapped as view:
            pass
        with pytest.raises(ValueError, match="released"):
            bytes(view)
        with pytest.raises(ValueError, match="not mapped any more"):
            memoryview(mapped)


def test_what_cannot_be_mapped(path: Path) -> None:
    with path.open("rb") as file:
        for start, stop in ((0, 0), (5, 4), (-1, 4)):
            with pytest.raises(ValueError, match="a part of a file"):
                MappedFile(file.fileno(), start, stop)
    with pytest.raises(OSError, match="Bad file descriptor"):
        MappedFile(-1, 0, 1)


def test_many_at_the_same_time(path: Path) -> None:
    with path.open("rb") as file:
        several: list[MappedFile] = []
        with pytest.raises(OSError, match="Too many open files"):
            several.extend(MappedFile(file.fileno(), 0, 5) for _ in range(1000))
        assert all(bytes(mapped) == b"word\n" for mapped in several)
        several.clear()
        assert bytes(MappedFile(file.fileno(), 5, 10)) == b"word\n"


@pytest.mark.parametrize("no_wait", [None, 0], ids=["read", "mapped"])
@pytest.mark.thread_unsafe(reason="replaces what all counts use")
def test_a_file_that_shrinks_while_it_is_counted(path: Path, no_wait: int | None) -> None:
    """The flag 0 waits for the disk: every file is mapped."""
    update = TotalsPartial.update

    def truncate(self: TotalsPartial, block: memoryview, *, last: bool) -> int:
        os.truncate(path, 10)
        return update(self, block, last=last)

    with (
        mock.patch.multiple(inputs, NO_WAIT=no_wait, MIN_MAPPED_SIZE=1),
        mock.patch.object(TotalsPartial, "update", truncate),
        mock.patch.object(driver, "BLOCK_SIZE", 100),
        pytest.raises(FileChanged),
    ):
        driver.run(Totals(frozenset({"lines"})), find_inputs([path]))


@pytest.mark.thread_unsafe(reason="replaces what all counts use")
def test_mapped_files_are_counted_as_read_ones(path: Path) -> None:
    sizes = {"MIN_CHUNK_SIZE": PAGE + 1, "MAX_CHUNK_SIZE": PAGE + 1}
    count = Totals(frozenset({"lines", "words"}))
    with (
        mock.patch.multiple(driver, **sizes),
        mock.patch.multiple(inputs, NO_WAIT=0, MIN_MAPPED_SIZE=1),
        mock.patch.object(driver.Worker, "feed", side_effect=AssertionError("it was read")),
    ):
        ((_, partial),) = driver.run(count, find_inputs([path]), threads=2)
    assert (partial.lines, partial.words, partial.bytes) == (PAGE, PAGE, 5 * PAGE)
    assert Totals.maps_files
