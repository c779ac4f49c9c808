"""The public functions, compared with the GNU tools on random files."""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import parcount as pc
from parcount.files.driver import run
from parcount.files.inputs import find_inputs
from parcount.files.totals import Totals
from tests.files.test_driver import tiny_pieces, totals
from tests.remote import TIME_LIMIT

GNU = sys.platform == "linux" and b"GNU" in subprocess.run(["wc", "--version"], capture_output=True, check=False).stdout

PIECES = [
    b"\n",
    b" ",
    b"\t",
    b"\r",
    b"\r\n",
    b"\v\f",
    b"\0",
    b"\xff",
    "é\u2003".encode(),
    b'"',
    b",",
    b"word",
    b"\x01",
    b"x" * 300,
]


def random_content(generator: random.Random) -> bytes:
    pieces = generator.sample(PIECES, generator.randint(1, len(PIECES)))
    content = b"".join(generator.choices(pieces, k=generator.choice([0, 1, 5, 50, 500])))
    return content * generator.choice([1, 1, 1, 20])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a").write_bytes(b"one two\nthree\nno end")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c").write_bytes(b"one two\nfour\n")
    return tmp_path


def test_each_function_takes_files_of_all_kinds(folder: Path) -> None:
    path = folder / "a"
    for source in (path, str(path), [path], (os.fspath(path),), f"{folder}/[a]", iter([path])):
        assert pc.count_lines(source) == 2
    with path.open("rb") as file:
        file.seek(8)
        assert pc.count_lines(file) == 1
    assert pc.count_words([path, io.BytesIO(b"more words")], threads=2) == 7
    assert pc.count_bytes([path, io.BytesIO(b"more")]) == 24
    assert pc.count_lines(folder, recursive=True) == 4
    assert pc.count_words(folder, recursive=True, on=pc.Serial()) == 8
    assert pc.count_bytes(folder, recursive=True) == 33
    assert pc.count_lines([]) == pc.count_bytes([]) == len(pc.count_values([])) == 0


def test_words_of_unicode() -> None:
    text = "a\u2003b \xa0 c\x1cd\x85\n"
    assert pc.count_words(io.BytesIO(text.encode()), unicode=True) == len(text.split()) == 4
    assert pc.count_words(io.BytesIO(text.encode())) == 2


def test_values(folder: Path) -> None:
    expected = {b"one two": 2, b"three": 1, b"no end": 1, b"four": 1}
    counts = pc.count_values(folder, recursive=True)
    assert counts.to_dict() == expected
    values, numbers = counts
    assert dict(zip(values, numbers, strict=True)) == expected
    table = pc.count_values(folder / "a", bytes=True).to_dict()
    assert table == {bytes([byte]): count for byte, count in Counter((folder / "a").read_bytes()).items()}
    assert pc.count_values(io.BytesIO(b"n;m\n1;x\n2;x\n"), column="m", delimiter=";").to_dict() == {b"x": 2}


@pytest.mark.parametrize("function", [pc.count_lines, pc.count_words, pc.count_bytes, pc.count_values])
def test_what_cannot_be_read_raises(folder: Path, function: Any) -> None:
    with pytest.raises(FileNotFoundError):
        function([folder / "a", folder / "missing"])
    with pytest.raises(IsADirectoryError):
        function(folder)
    with pytest.raises(TypeError):
        function(folder / "a", threads="two")
    with pytest.raises(ValueError, match="give one of the two"):
        function(folder / "a", threads=1, on=pc.Serial())


def test_arguments_that_do_not_belong_together(folder: Path) -> None:
    with pytest.raises(ValueError, match="give one of bytes=True and column="):
        pc.count_values(folder / "a", bytes=True, column=1)
    with pytest.raises(ValueError, match="are for column="):
        pc.count_values(folder / "a", delimiter=",")


@pytest.mark.skipif(sys.platform == "win32", reason="a journal cannot be written on Windows")
def test_a_journal_and_the_progress(folder: Path) -> None:
    for function, result in ((pc.count_lines, 2), (pc.count_words, 5)):
        journal = folder / function.__name__
        for _ in range(2):
            seen: list[tuple[int, int]] = []
            assert function(folder / "a", journal=journal, progress=lambda *at: seen.append(at)) == result  # noqa: B023
            assert seen[-1] == (20, 20)
    for _ in range(2):
        assert pc.count_values(folder / "a", journal=folder / "values").distinct == 3
    with pytest.raises(ValueError, match="other options"):
        pc.count_words(folder / "a", unicode=True, journal=folder / "count_words")


@pytest.mark.skipif(not GNU, reason="the tools are not those of GNU")
@pytest.mark.parametrize("number", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_totals_of_random_files_are_those_of_wc(tmp_path: Path, number: int) -> None:
    generator = random.Random(number)
    paths = [tmp_path / f"{position:04}" for position in range(number)]
    for path in paths:
        path.write_bytes(random_content(generator))
    printed = subprocess.run(
        ["wc", *paths], capture_output=True, env={**os.environ, "LC_ALL": "C"}, timeout=TIME_LIMIT, check=True
    )
    expected = [tuple(map(int, line.split()[:3])) for line in printed.stdout.splitlines()[:-1]]
    kinds = Totals(frozenset({"lines", "words", "bytes"}))
    for chunk in (20, 1 << 20):
        with tiny_pieces(chunk, 64):
            counted = run(kinds, find_inputs(paths), threads=2)
        assert [totals(partial) for _, partial in counted] == expected


@pytest.mark.skipif(not GNU, reason="the tools are not those of GNU")
@pytest.mark.parametrize("number", [10, pytest.param(300, marks=pytest.mark.slow)])
def test_values_of_random_files_are_those_of_sort_and_uniq(tmp_path: Path, number: int) -> None:
    generator = random.Random(number)
    path, out = tmp_path / "a", tmp_path / "out"
    for _ in range(number):
        path.write_bytes(random_content(generator))
        expected = subprocess.run(
            f"sort '{path}' | uniq -c | sort -rn",
            shell=True,
            capture_output=True,
            env={**os.environ, "LC_ALL": "C"},
            timeout=TIME_LIMIT,
            check=True,
        ).stdout
        with tiny_pieces(generator.choice([7, 100, 1 << 20]), 64):
            counts = pc.count_values(path, threads=2)
        with out.open("wb") as file:
            counts.write(file)
        assert out.read_bytes() == expected
