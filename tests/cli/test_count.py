"""`parcount count`: what it prints, compared with the GNU tools, and what it does with bad input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from parcount.cli import main
from tests.remote import TIME_LIMIT

GNU = pytest.mark.skipif(
    b"GNU" not in subprocess.run(["wc", "--version"], capture_output=True, check=False).stdout
    if sys.platform != "win32"
    else True,
    reason="the tools are not those of GNU",
)

COMMAND = [sys.executable, "-m", "parcount", "count"]

Run = Callable[..., tuple[int, bytes, str]]


@pytest.fixture
def count(capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Runs the command in this process: its exit code, output and messages."""

    def run(*words: str | Path) -> tuple[int, bytes, str]:
        code = main(["count", *map(str, words)])
        sys.stdout.flush()
        out, err = capfdbinary.readouterr()
        return code, out, err.decode()

    return run


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with some files."""
    (tmp_path / "a").write_bytes(b"one two\nthree\n\nno end")
    (tmp_path / "b").write_bytes(b"one two\nb\xff\0\nthree\none two\n")
    (tmp_path / "empty").touch()
    (tmp_path / "t.csv").write_bytes(b'name,n\nx,1\n"y,z",2\nx,3\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shell(command: str) -> bytes:
    environment = {**os.environ, "LC_ALL": "C"}
    return subprocess.run(command, shell=True, capture_output=True, env=environment, check=True).stdout


@GNU
@pytest.mark.parametrize(
    "words", ["a", "a b empty", "-l a", "-l a b", "-w b", "-lc a", "-cwl empty", "-c a b", "-l empty empty", "-lw a a"]
)
def test_totals_look_as_those_of_wc(count: Run, words: str) -> None:
    assert count(*words.split()) == (0, shell(f"wc {words}"), "")


@GNU
@pytest.mark.parametrize("words", ["", "-l", "-lw", "-c"])
def test_standard_input(words: str) -> None:
    command = f"{sys.executable} -m parcount count {words}"
    for source in ("cat b |", ""):
        redirection = "" if source else "< b"
        assert shell(f"{source} {command} {redirection}") == shell(f"{source} wc {words} {redirection}")


@GNU
@pytest.mark.parametrize("words", [[], ["--top", "2"], ["--memory", "1M"], ["--on", "processes", "--threads", "2"]])
def test_values_look_as_those_of_sort_and_uniq(count: Run, words: list[str]) -> None:
    expected = shell("cat b a b | sort | uniq -c | sort -rn")
    if "--top" in words:
        expected = b"".join(expected.splitlines(keepends=True)[:2])
    Path("c").write_bytes(Path("b").read_bytes() + Path("a").read_bytes() + b"\n" + Path("b").read_bytes())
    if words:
        expected = shell("cat c | sort | uniq -c | sort -rn")
        expected = b"".join(expected.splitlines(keepends=True)[: 2 if "--top" in words else None])
        assert count("--values", *words, "c") == (0, expected, "")
    else:
        expected = shell("sort c | uniq -c | sort -rn")
        assert count("--values", "c") == (0, expected, "")


def test_the_table_of_bytes(count: Run) -> None:
    counts = Counter(Path("b").read_bytes())
    expected = [b"%7d 0x%02x" % (n, byte) for byte, n in sorted(counts.items(), key=lambda pair: (-pair[1], -pair[0]))]
    assert count("--values", "--bytes", "b") == (0, b"\n".join([*expected, b""]), "")


def test_values_of_a_column(count: Run) -> None:
    assert count("--column", "name", "t.csv") == (0, b"      2 x\n      1 y,z\n", "")
    assert count("--column", "2", "--header", "--top", "1", "t.csv") == (0, b"      1 3\n", "")


def test_json(count: Run) -> None:
    code, out, _ = count("-lw", "--json", "a", "b")
    assert code == 0
    assert json.loads(out) == {
        "files": [{"name": "a", "lines": 3, "words": 5}, {"name": "b", "lines": 4, "words": 6}],
        "total": {"lines": 7, "words": 11},
    }
    _, out, _ = count("--values", "--json", "b")
    assert json.loads(out) == {
        "total": 4,
        "distinct": 3,
        "values": [
            {"value": "one two", "count": 2},
            {"value": "three", "count": 1},
            {"base64": "Yv8A", "count": 1},
        ],
    }


def test_explain_goes_to_standard_error(count: Run) -> None:
    code, out, err = count("--lines", "--explain", "a", "b")
    assert (code, out) == count("--lines", "a", "b")[:2]
    assert "parcount count: loops: lines and words, " in err
    assert "parcount count: 2 regular files: chunks of " in err
    _, _, err = count("--column", "1", "--explain", "--memory", "64M", "--journal", "j", "t.csv")
    for text in ("t.csv: ", "workers: ", "MB for values; what does not fit goes to temporary files in ", "journal: j"):
        assert text in err


@pytest.mark.parametrize(
    ("words", "code", "out", "messages"),
    [
        (["-l", "missing", "a"], 1, b"3 a\n3 total\n", ["missing: No such file or directory"]),
        (["-l", ".", "a"], 1, b"3 a\n3 total\n", [".: Is a directory"]),
        (["-l", "no*", "."], 1, b"0 total\n", ["no*: No such file or directory", ".: Is a directory"]),
        (["--values", "missing"], 1, b"", ["missing: No such file or directory"]),
        (["--values", "missing", "--top", "1", "b"], 1, b"      2 one two\n", ["missing: No such file or directory"]),
    ],
)
def test_what_cannot_be_read_is_told_and_left_out(
    count: Run, words: list[str], code: int, out: bytes, messages: list[str]
) -> None:
    expected = "".join(f"parcount count: {message}\n" for message in messages)
    found = count(*words)
    assert (found[0], found[2]) == (code, expected)
    assert found[1].split() == out.split()


def test_a_column_that_does_not_exist(count: Run) -> None:
    code, out, err = count("--column", "age", "t.csv")
    assert (code, out) == (1, b"")
    assert err.startswith("parcount count: t.csv: ")
    assert "age" in err


def test_a_binary_file_as_a_table(count: Run) -> None:
    Path("binary").write_bytes(bytes(range(256)) * 100)
    code, out, err = count("--column", "5", "binary")
    assert (code, out) == (1, b"")
    assert err.startswith("parcount count: binary, byte ")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--lines", "--values"], "give one of both"),
        (["--column", "1", "--bytes"], "give one of --bytes and --column"),
        (["--lines", "--unicode"], "--unicode is for --words"),
        (["--lines", "--top", "3"], "--top is for --values"),
        (["--values", "--delimiter", ";"], "--delimiter is for --column"),
        (["--values", "--no-header"], "--header is for --column"),
        (["--values", "--top", "0"], "'0' is not a positive integer"),
        (["--values", "--memory", "lots"], "'lots' is not a size"),
        (["--values", "--memory=-1"], "'-1' is not a size"),
        (["--threads", "two"], "'two' is not a positive integer"),
        (["--on", "gpu"], "invalid choice: 'gpu'"),
    ],
)
def test_a_wrong_call_is_refused(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["count", *words, "a"])
    assert caught.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("text", "size"), [("500M", 500 << 20), ("1.5g", 3 << 29), ("7", 7), ("2KiB", 2048), ("1kB", 1024)]
)
def test_sizes(text: str, size: int) -> None:
    from parcount.cli.count import _size

    assert _size(text) == size


def test_a_reader_that_has_gone_is_no_error(folder: Path) -> None:
    (folder / "many").write_bytes(b"".join(b"%d\n" % number for number in range(200_000)))
    process = subprocess.Popen([*COMMAND, "--values", "many"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.read(1) == b" "
    process.stdout.close()
    _, err = process.communicate(timeout=TIME_LIMIT)
    assert (process.returncode, err) == (1, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_standard_output() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([*COMMAND, "a"], stdout=full, stderr=subprocess.PIPE, timeout=TIME_LIMIT, check=False)
    message = b"parcount: cannot write to standard output: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, message)


@GNU
@pytest.mark.parametrize("words", ["--values", "--column 1"])
def test_a_full_disk_while_spilling(folder: Path, words: str) -> None:
    """The limit of the size of files stands for it."""
    (folder / "many").write_bytes(b"".join(b"%d%s\n" % (number, b"x" * 40) for number in range(100_000)))
    (folder / "spill").mkdir()
    command = f"ulimit -f 64; {' '.join(COMMAND)} {words} --memory 1M --spill-directory spill many"
    done = subprocess.run(command, shell=True, capture_output=True, timeout=TIME_LIMIT, check=False)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"parcount count: ")
    assert b"File too large" in done.stderr
    assert [*(folder / "spill").iterdir()] == []


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="no SIGUSR1 here")
def test_a_signal_prints_how_far_it_is() -> None:
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [*COMMAND, "-l"], stdin=reader, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    os.close(reader)
    with os.fdopen(writer, "wb", buffering=0) as file:
        file.write(b"line\n" * (1 << 20))  # more than the pipe holds: the command has begun to read
        process.send_signal(signal.SIGUSR1)
        assert process.stderr is not None
        line = process.stderr.readline()
    out, err = process.communicate(timeout=TIME_LIMIT)
    assert line.startswith("parcount count: ")
    assert " passed" in line
    assert (process.returncode, out, err) == (0, "1048576\n", "")


def test_the_command_imports_little() -> None:
    script = (
        "import sys; from parcount.cli import main; main(['count', '-lw', 'a', 'b'])\n"
        "heavy = {'numpy', 'dataclasses', 'pathlib', 'concurrent.futures', 'multiprocessing', 'shutil', 'logging'}\n"
        "print(sorted(heavy & {*sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=TIME_LIMIT, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
