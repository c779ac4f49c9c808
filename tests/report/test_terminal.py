from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.text import Text

from parcount.report.terminal import progress_bar
from parcount.studies.core.analysis import CellResult
from parcount.studies.core.result import Study
from parcount.studies.gil.experiment import GilExperiment


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def of_a_usual_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever these tests are started from: one that calls itself dumb has 80 columns, and no bar."""
    monkeypatch.setenv("TERM", "xterm")


def shown(study: Study) -> str:
    stream = io.StringIO()
    GilExperiment.show(study, stream)
    return stream.getvalue()


def test_the_table_has_a_row_for_each_variant_and_execution(study: Study) -> None:
    lines = shown(study).splitlines()
    header = next(line for line in lines if line.startswith("variant"))
    assert header.split() == ["variant", "on", "M/s", "2", "workers", "start-up", "pays", "from"]
    rows = [line for line in lines if " serial " in line or " threads " in line or " processes " in line]
    assert any(row.startswith("cython ") and "serial" in row and "0.10" in row for row in rows)
    assert any("threads" in row and "1.96× [1.96–1.96]" in row for row in rows)
    assert any("processes" in row and "1.92×" in row and "100 ms" in row for row in rows)


def test_it_ends_in_the_verdict(study: Study) -> None:
    text = " ".join(shown(study).split())
    for sentence in study.verdict.sentences:
        assert " ".join(sentence.split()) in text


@pytest.mark.parametrize("columns", ["80", "100", "200"])
def test_it_fits_the_terminal(study: Study, columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    more = [replace(cell, workers=3) for cell in study.cells if cell.execution != "serial"]
    stream = Terminal()
    GilExperiment.show(replace(study, cells=[*study.cells, *more]), stream)
    lines = [Text.from_ansi(line).plain.rstrip() for line in stream.getvalue().splitlines()]
    assert max(map(len, lines)) <= int(columns)
    row = next(line for line in lines if "threads" in line)
    assert ("[1.96–1.96]" in row) == (columns != "80")
    assert row.count("1.96×") == 2
    assert "…" not in row


def test_workers_beyond_the_cores_are_marked(study: Study) -> None:
    environment = {**study.environment, "cores": {**study.environment["cores"], "available": 1, "parallel": 1}}
    text = shown(replace(study, environment=environment))
    assert "2 workers*" in text
    assert "* more workers than the 1 cores available" in text


def test_what_did_not_run_says_why(study: Study) -> None:
    absent = CellResult("tally", "numba", "serial", 1, "not installed", "No module named 'numba'")
    text = shown(replace(study, cells=[*study.cells, absent]))
    assert "not installed" in text
    assert "numba: not installed: No module named 'numba'." in text


def test_what_did_not_run_for_one_reason_stands_in_one_line(study: Study) -> None:
    refused = [
        CellResult("tally", variant, "interpreters", workers, "not supported", "they hold the GIL")
        for variant in ("cython", "cython-gil")
        for workers in (1, 2)
    ]
    text = shown(replace(study, cells=[*study.cells, *refused]))
    assert "cython; cython-gil on interpreters: not supported: they hold the GIL." in text
    assert text.count("they hold the GIL") == 1


def test_a_bar_with_the_time_left_on_a_terminal() -> None:
    stream = Terminal()
    with progress_bar(stream) as told:
        told("round 1", 1.0, 10.0)
        told("round 2", 2.0, 10.0)
    assert "left" in stream.getvalue()


def test_no_bar_elsewhere() -> None:
    stream = io.StringIO()
    with progress_bar(stream) as told:
        told("round 1", 1.0, 10.0)
    assert stream.getvalue() == ""
