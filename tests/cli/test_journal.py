"""`parcount journal`."""

from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64decode
from pathlib import Path

import pytest

import parcount as pc
from parcount.cli import main
from tests.remote import TIME_LIMIT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="journals are not written on Windows")

DATA = [b"one", "grüße\t2".encode(), b"C:\\new", b"a\nb", b"\xff'\"\\", b"\0\x1b[0m", b""]
SHOWN = ["one", "grüße\t2", "C:\\new", "a\\nb", "\\xff'\"\\\\", "\\x00\\x1b[0m", ""]

COMMAND = [sys.executable, "-m", "parcount", "journal"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "events.log"
    with pc.Journal(path) as journal:
        for data in DATA:
            journal.append(data)
    return path


def output(capsysbinary: pytest.CaptureFixture[bytes], *words: str | Path, code: int = 0) -> str:
    assert main(["journal", *map(str, words)]) == code
    out, err = capsysbinary.readouterr()
    assert err == b""
    return out.decode()


def error(capsysbinary: pytest.CaptureFixture[bytes], *words: str | Path, code: int = 2) -> str:
    assert main(["journal", *map(str, words)]) == code
    out, err = capsysbinary.readouterr()
    assert out == b""
    return err.decode().removeprefix("parcount journal: ").strip()


def damage(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


def test_records_are_printed_escaped_if_they_are_no_text(
    path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert output(capsysbinary, path).split("\n")[:-1] == SHOWN


def test_json_has_everything(path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    lines = [json.loads(line) for line in output(capsysbinary, "--json", path).splitlines()]
    assert [b64decode(line["base64"]) if "base64" in line else line["data"].encode() for line in lines] == DATA
    with pc.JournalReader(path) as reader:
        places = [(f"{record.writer:016x}", record.sequence, record.offset) for record in reader]
    assert [(line["writer"], line["sequence"], line["offset"]) for line in lines] == places


def test_records_are_counted_for_each_writer(path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    with pc.Journal(path) as journal:
        journal.append(b"from another writer")
    assert output(capsysbinary, "--count", path) == f"{len(DATA) + 1}\n"
    summary = json.loads(output(capsysbinary, "--summary", "--json", path))
    assert (summary["records"], summary["bytes"]) == (len(DATA) + 1, sum(map(len, DATA)) + 19)
    (first, many), (second, one) = summary["writers"].items()
    assert (many["records"], one) == (len(DATA), {"records": 1, "bytes": 19})
    assert output(capsysbinary, "--writer", second, path) == "from another writer\n"
    assert output(capsysbinary, "--count", "--writer", f"0x{first}", path) == f"{len(DATA)}\n"
    table = [line.split() for line in output(capsysbinary, "--summary", path).splitlines()]
    assert table == [
        ["writer", "records", "bytes"],
        ["total", str(summary["records"]), str(summary["bytes"])],
        [first, str(many["records"]), str(many["bytes"])],
        [second, "1", "19"],
    ]


def test_damage_is_found_and_left_out_of_a_repaired_file(
    path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert output(capsysbinary, "--check", path) == f"{path}: no damage\n"
    with pc.JournalReader(path) as reader:
        offset = [record.offset for record in reader][1]
    damage(path, offset + 34)
    lines = output(capsysbinary, "--check", path, code=1).splitlines()
    assert lines[0].startswith(f"{path}: offset {offset}: torn: ")
    assert "missing" in lines[1]
    new = path.with_suffix(".new")
    assert output(capsysbinary, "--repair", new, path) == f"{new}: {len(DATA) - 1} records\n"
    assert output(capsysbinary, new).split("\n")[:-1] == SHOWN[:1] + SHOWN[2:]
    assert error(capsysbinary, "--repair", new, path) == f"{new} exists"
    missing = path.parent / "missing" / "new"
    assert (
        error(capsysbinary, "--repair", missing, path, code=1) == f"cannot write {missing}: No such file or directory"
    )


def test_a_text_is_read_if_that_is_asked_for(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    path = tmp_path / "all.log"
    path.write_bytes(b"one\ntwo\nthr")
    assert error(capsysbinary, path) == f"{path} is not a journal; --text reads lines"
    assert output(capsysbinary, "--text", path) == "one\ntwo\n"
    assert output(capsysbinary, "--text", "--check", path, code=1).startswith(f"{path}: offset 8: torn: ")


def test_bad_files_and_options_are_refused(path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    folder = path.parent
    assert error(capsysbinary, folder) == f"cannot read {folder}: Is a directory"
    assert error(capsysbinary, folder / "no") == f"cannot read {folder / 'no'}: No such file or directory"
    assert error(capsysbinary, "--text", path) == f"{path} is a journal with blocks, not with lines of text"
    for words in (["--follow", "--count"], ["--check", "--json"], ["--check", "--count"], ["--writer", "x"]):
        with pytest.raises(SystemExit) as ended:
            main(["journal", *words, str(path)])
        assert ended.value.code == 2
        assert b"error: " in capsysbinary.readouterr().err


def test_records_are_followed_and_a_closed_pipe_ends_it_quietly(path: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "--follow", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    ) as process:
        try:
            assert [process.stdout.readline() for _ in SHOWN] == [f"{line}\n" for line in SHOWN]
            with pc.Journal(path) as journal:
                journal.append(b"new")
                assert process.stdout.readline() == "new\n"
                process.stdout.close()
                journal.append(b"for nobody")
            assert process.stderr.read() == ""
            assert process.wait(TIME_LIMIT) == 1
        finally:
            process.kill()
