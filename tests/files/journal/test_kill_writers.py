"""Writers of a journal that are killed at random instants lose nothing that was acknowledged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from parcount.files.journal.reader import JournalReader
from tests.conftest import forks_beside_threads
from tests.files.journal.kill_writers import Options, Result, Shared, record, verify

LINUX = sys.platform == "linux"
CASES: list[Any] = [("lock", ()), ("lock", ("--text",))]
if LINUX:  # a queue has a thread in each writer
    queues = [("queue", ("--server-kills", "3")), ("queue", ("--server-kills", "3", "--text"))]
    CASES += [("reserve", ()), *(pytest.param(*queue, marks=forks_beside_threads) for queue in queues)]
MORE = [
    pytest.param(how, ("--threads", "2"), marks=forks_beside_threads)
    for how in (("lock", "reserve", "queue") if LINUX else ("lock",))
]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="journals are not written on Windows")


def run(folder: Path, how: str, words: tuple[str, ...], records: int, kills: int, processes: int, limit: float) -> None:
    """Run the program, which fails if anything is wrong, in a process that may fork."""
    numbers = ["--records", str(records), "--kills", str(kills), "--processes", str(processes)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.files.journal.kill_writers", "--how", how, "--folder", folder, *numbers, *words],
        capture_output=True,
        text=True,
        timeout=limit,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


@pytest.mark.parametrize(("how", "words"), CASES, ids=lambda value: "".join(value))
def test_a_few_writers_are_killed(tmp_path: Path, how: str, words: tuple[str, ...]) -> None:
    run(tmp_path, how, words, 3000, 4, 3, 60)


@pytest.mark.slow
@pytest.mark.parametrize(("how", "words"), CASES + MORE, ids=lambda value: "".join(value))
def test_many_writers_are_killed(tmp_path: Path, how: str, words: tuple[str, ...]) -> None:
    run(tmp_path, how, words, 100_000, 20, 8, 100)


def test_the_verification_finds_what_it_is_to_find(tmp_path: Path) -> None:
    def result(*numbers: int, acknowledged: int, more: bytes = b"") -> Result:
        path = tmp_path / "text.log"
        path.write_bytes(b"".join(record(0, number, True) + b"\n" for number in numbers) + more)
        shared, found = Shared(1), Result(kills=1)
        shared.cells[0] = acknowledged
        verify(Options("lock", str(path), text=True), shared, found)
        return found

    assert result(0, 1, 2, acknowledged=3).failures == 0
    assert result(0, 1, 2, acknowledged=2).failures == 0  # not acknowledged, and there
    assert result(0, 1, acknowledged=2, more=record(0, 2, True)[:5] + b"\n").torn == 1
    assert result(0, 1, acknowledged=3).lost == 1
    assert result(0, 1, 1, acknowledged=2).duplicated == 1
    assert result(0, 2, acknowledged=3).out_of_order == 1
    assert result(0, acknowledged=1, more=b"0 7 nonsense\n").wrong == 1
    assert result(0, acknowledged=1, more=record(0, 1, True)[:4] + record(0, 0, True) + b"\n").failures == 1
    with JournalReader(tmp_path / "text.log", text=True) as reader:
        assert len([*reader]) == 2
