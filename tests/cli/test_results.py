"""`parcount compare` and `parcount report`, and files that are no results."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from parcount.cli import main
from parcount.studies.core.result import Study, load_studies
from tests.costmodel.synthetic import synthetic as synthetic_plan
from tests.studies.core.synthetic_studies import synthetic
from tests.test_cli import DEVICES, parcount

pytest.importorskip("rich")

COMMANDS = (
    ["compare", "FILE", "good.json"],
    ["compare", "good.json", "FILE"],
    ["report", "FILE"],
    ["plan", "--from", "FILE"],
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two results of the study of the GIL and one of another study."""
    synthetic("gil").save(tmp_path / "good.json")
    synthetic("gil", 1).save(tmp_path / "other.json")
    synthetic("transports").save(tmp_path / "transports.json")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


@pytest.fixture
def few(folder: Path) -> tuple[Study, Study]:
    """Two results with few cells, in few.json and more.json: pages of many cells take seconds."""
    studies = [
        replace(study, cells=[cell for cell in study.cells if (cell.workload, cell.variant) == ("tally", "cython")])
        for study in (synthetic("gil"), synthetic("gil", 1))
    ]
    for study, name in zip(studies, ("few.json", "more.json"), strict=True):
        study.save(folder / name)
    return studies[0], studies[1]


def refusal(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    return err.partition("error: ")[2].strip()


def test_compare_prints_the_cells_of_both_and_writes_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "good.json", "other.json", "--json", "a.json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("other.json against good.json: ")
    assert "A: good.json" in out
    assert "tally: million increments per second" in out
    content = json.loads(Path("a.json").read_text())
    assert content["schema"] == 1
    assert [one["names"] for one in content["comparisons"]] == [["good.json", "other.json"]]
    assert content["comparisons"][0]["sentences"][0] in " ".join(out.split())


def test_compare_writes_json_to_standard_output_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "good.json", "other.json", "--json", "-"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["comparisons"]
    assert "B / A" in err


def test_compare_shows_speedups_as_details(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "good.json", "other.json"]) == 0
    assert "Left out for lack of width: speedup A, speedup B." in capsys.readouterr().out
    assert main(["compare", "good.json", "other.json", "--details"]) == 0
    assert "speedup A  " in capsys.readouterr().out


def test_a_page_is_written_and_read_back_and_compared(
    few: tuple[Study, Study], capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("jinja2")
    assert main(["report", "few.json", "--html", "old.html"]) == 0
    assert main(["report", "more.json", "--html", "new.html"]) == 0
    assert load_studies("old.html") == [few[0]]
    assert main(["report", "old.html", "new.html", "--html", "both.html"]) == 0
    assert capsys.readouterr() == ("", "")
    assert "new.html against old.html" in Path("both.html").read_text()
    assert load_studies("both.html") == [*few]
    assert main(["compare", "both.html"]) == 0
    assert "both.html (2) against both.html (1): " in capsys.readouterr().out
    assert main(["compare", "old.html", "more.json"]) == 0
    assert "more.json against old.html: " in capsys.readouterr().out


def test_report_shows_results_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "good.json", "transports.json"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    for study in (synthetic("gil"), synthetic("transports")):
        assert all(sentence in out for sentence in study.verdict.sentences)


def test_report_shows_also_what_cannot_be_compared(capsys: pytest.CaptureFixture[str]) -> None:
    study = synthetic("gil")
    replace(study, options={**study.options, "size": 1000}).save("sized.json")
    assert main(["report", "good.json", "sized.json"]) == 0
    out, err = capsys.readouterr()
    assert out.count(study.verdict.sentences[-1]) == 2
    assert err.startswith("parcount report: not compared: good.json was measured with size chosen by calibration and ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["compare"], "the following arguments are required: FILE"),
        (["compare", "good.json"], "good.json is the study 'gil', and there is no other result of it to compare with"),
        (["compare", "good.json", "transports.json"], "good.json is the study 'gil', and there is no other"),
        (["compare", "good.json", "other.json", "--json", "no/a.json"], "argument --json: cannot write no/a.json"),
        (["report"], "the following arguments are required: FILE"),
        (["report", "good.json", "--html", "no/a.html"], "argument --html: cannot write no/a.html"),
        (["report", "good.json", "--html", "."], "argument --html: cannot write ."),
    ],
)
def test_a_wrong_call_is_refused(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(words, capsys).startswith(message)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\x89PNG\r\n\x1a\n\x00", "is not JSON: it is not text"),
        (b"schema: 2", "is not JSON: see line 1, column 1"),
        (b'{"schema": 2, "cells": [{"wor', "is not complete: its JSON ends in line 1"),
        (b'{"name": "somebody"}', "is not a "),
        (b'{"schema": 0, "cells": [], "costs": {}}', "was written by an older version of parcount: it has schema 0, "),
        (b'{"schema": 99, "cells": [], "costs": {}}', "was written by a newer version of parcount: it has schema 99, "),
    ],
)
def test_a_file_that_is_no_result_is_told_in_plain_words(
    words: list[str], data: bytes, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("bad.json").write_bytes(data)
    told = refusal(["bad.json" if word == "FILE" else word for word in words], capsys)
    assert told.startswith(f"bad.json {message}")
    assert "Error" not in told


def test_files_of_each_other_are_not_mistaken_for_old_ones(capsys: pytest.CaptureFixture[str]) -> None:
    synthetic_plan().save("plan.json")
    assert refusal(["report", "plan.json"], capsys) == "plan.json is not a result file of parcount study"
    assert refusal(["plan", "--from", "good.json"], capsys) == "good.json is not a file of parcount plan"


@pytest.mark.usefixtures("few")
def test_html_that_is_no_report_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("jinja2")
    Path("a.html").write_text("<!doctype html><title>A page</title>")
    assert refusal(["report", "a.html"], capsys) == "a.html is HTML, and not a report of parcount"
    assert main(["report", "few.json", "--html", "cut.html"]) == 0
    whole = Path("cut.html").read_text()
    Path("cut.html").write_text(whole[: whole.index('"verdict"')])
    assert refusal(["report", "cut.html"], capsys) == "cut.html is HTML, and not a report of parcount"
    Path("old.html").write_text(whole.replace('"schema":2', '"schema":1'))
    assert refusal(["report", "old.html"], capsys).startswith("old.html was written by an older version of parcount")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_file_that_cannot_be_read_is_told(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("absent.json", "folder"):
        Path("folder").mkdir(exist_ok=True)
        told = refusal([name if word == "FILE" else word for word in words], capsys)
        assert f"cannot read {name}: " in told


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_a_file_without_permission_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    Path("good.json").chmod(0)
    if os.access("good.json", os.R_OK):
        pytest.skip("this user may read everything")
    assert refusal(["report", "good.json"], capsys) == "cannot read good.json: Permission denied"


def test_a_library_that_is_missing_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("a.html").write_text("<html></html>")
    monkeypatch.setitem(sys.modules, "jinja2", None)
    monkeypatch.delitem(sys.modules, "parcount.report.html", raising=False)
    for words in (["report", "good.json", "--html", "b.html"], ["study", "--html", "b.html"], ["compare", "a.html"]):
        assert "needs jinja2: pip install 'parcount[study]'" in refusal(words, capsys)
    assert not Path("b.html").exists()


@DEVICES
@pytest.mark.usefixtures("few")
def test_a_page_for_a_full_device_is_a_message() -> None:
    pytest.importorskip("jinja2")
    done = parcount("report", "few.json", "--html", "/dev/full")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "parcount report: cannot write /dev/full: No space left on device\n"
