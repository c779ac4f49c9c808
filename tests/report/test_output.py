from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from parcount.report.output import check_writable, write_output
from tests.plain import TIME_LIMIT, until

POSIX = pytest.mark.skipif(os.name != "posix", reason="Windows has neither FIFOs nor modes")


def test_a_new_file_has_the_usual_mode(tmp_path: Path) -> None:
    write_output(tmp_path / "a", b"text")
    (tmp_path / "usual").touch()
    assert (tmp_path / "a").read_bytes() == b"text"
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "usual").stat().st_mode
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "usual"]


@POSIX
def test_the_umask_of_the_process_is_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def umask(_: int) -> int:
        raise AssertionError("another thread may create a file meanwhile")

    monkeypatch.setattr(os, "umask", umask)
    write_output(tmp_path / "a", b"text")


@POSIX
def test_a_file_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "a").touch(0o600)
    write_output(tmp_path / "a", b"text")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


@POSIX
@pytest.mark.parametrize("exists", [True, False])
def test_the_target_of_a_symbolic_link_is_replaced_and_the_link_stays(exists: bool, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    target, link = tmp_path / "folder" / "target", tmp_path / "link"
    link.symlink_to(target)
    if exists:
        target.write_text("old")
    check_writable(link)
    assert target.exists() == exists
    write_output(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["target"]


@POSIX
def test_a_fifo_without_a_reader_is_waited_for_with_a_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    check_writable(fifo)
    writer = threading.Thread(target=write_output, args=(fifo, bytes(200_000)), daemon=True)
    writer.start()
    told: list[str] = []

    def waits() -> bool:
        told.append(capsys.readouterr().err)
        return "".join(told) == f"parcount: waiting for a reader of {fifo}\n"

    until(waits, "the writer says nothing")
    assert fifo.read_bytes() == bytes(200_000)
    writer.join(TIME_LIMIT)
    assert not writer.is_alive()
    assert fifo.is_fifo()


@POSIX
def test_a_pipe_by_the_name_of_its_descriptor_is_written(tmp_path: Path) -> None:
    if not Path("/dev/fd").exists():
        pytest.skip("this system has no /dev/fd")
    read, write = os.pipe()
    check_writable(f"/dev/fd/{write}")
    write_output(f"/dev/fd/{write}", b"text")
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        assert pipe.read() == b"text"


def test_standard_output_by_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    print("before")
    write_output("-", b"text")
    assert capsys.readouterr().out == "before\ntext"


def test_a_failure_names_the_file_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError, match=r"a'$") as caught:
        write_output(tmp_path / "a", b"text")
    assert isinstance(caught.value, IsADirectoryError | PermissionError)
    with pytest.raises(OSError, match="absent"):
        check_writable(tmp_path / "absent" / "a")
    with pytest.raises(OSError, match=r"absent.a'$"):
        write_output(tmp_path / "absent" / "a", b"text")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
