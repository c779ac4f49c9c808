from __future__ import annotations

import io
import re
from dataclasses import asdict, replace

import pytest

from parcount.report.terminal import open_console, print_sentences, progress_bar
from parcount.studies.core.analysis import CellResult
from parcount.studies.core.claims import Verdict
from parcount.studies.core.result import Study
from parcount.studies.core.statistics import Estimate
from parcount.studies.gil.experiment import GilExperiment
from parcount.studies.gil.table import tables


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def of_a_usual_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever these tests are started from: one that calls itself dumb has 80 columns, and no bar."""
    monkeypatch.setenv("TERM", "xterm")


ROW = re.compile(r"(python|cython|cython-gil) +(threads|processes)\b")


def shown(study: Study, details: bool = False) -> str:
    stream = io.StringIO()
    GilExperiment.show(study, stream, details)
    return stream.getvalue()


def flat(text: str) -> str:
    return " ".join(text.split())


def test_it_starts_with_the_answer_and_ends_in_the_other_sentences(study: Study) -> None:
    text = shown(study)
    answer, *others = study.verdict.sentences
    start, end = text.index("variant"), text.index("M/s: ")
    assert flat(text[:start]).startswith(answer)
    assert flat(text[end:]).endswith(flat(" ".join(others)))


def test_a_row_for_each_variant_and_execution(study: Study) -> None:
    lines = shown(study).splitlines()
    header = next(line for line in lines if line.startswith("variant"))
    assert header.split() == ["variant", "on", "M/s", "2", "workers", "[95", "%]"]
    rows = [line.split() for line in lines if ROW.match(line)]
    assert rows == [
        ["python", "processes", "0.00", "1.92×", "[1.92–1.92]"],
        ["cython", "threads", "0.10", "1.96×", "[1.96–1.96]"],
        ["cython-gil", "threads", "0.10", "1.00×", "[1.00–1.00]"],
    ]


def test_details_are_asked_for(study: Study) -> None:
    usual, detailed = shown(study), shown(study, details=True)
    numpy = study.environment["versions"]["numpy"]
    for word in ("start-up", "100 ms", "pays from", "quantity", f"NumPy {numpy}"):
        assert word not in usual
        assert word in detailed
    for claim in study.verdict.claims:
        assert claim.quantity in detailed
        assert claim.statement.split()[-1] in detailed


@pytest.mark.parametrize("details", [False, True])
@pytest.mark.parametrize("width", [120, 80, 60, 40])
def test_every_row_is_one_line_and_every_number_whole(width: int, details: bool, study: Study) -> None:
    more = [
        replace(cell, workers=workers, speedup=Estimate(12.345 * workers, 1.25, 123.456))
        for cell in study.cells
        for workers in (3, 16)
        if cell.execution != "serial"
    ]
    wide = replace(study, cells=[*study.cells, *more], verdict=replace(study.verdict, claims=[]))
    lines = GilExperiment.table_text(wide, details=details, width=width).splitlines()
    assert max(map(len, lines)) <= width
    known = {
        text
        for cell in wide.cells
        if cell.speedup is not None and cell.execution != "serial"
        for text in (f"{cell.speedup.median:.2f}×", f"[{cell.speedup.low:.2f}–{cell.speedup.high:.2f}]")
    }
    rows = [line for line in lines if ROW.match(line)]
    found = [word for row in rows for word in row.split() if word[0] == "[" or word[-1] == "×"]
    assert found
    assert known.issuperset(found)
    if details or width == 120:
        assert known == {*found}
    assert len(rows) % 3 == 0
    assert not any("…" in line or line.endswith(" ") for line in lines)
    assert ("Left out for lack of width" in "\n".join(lines)) == (not details and width < 120)


def test_a_file_has_80_columns_and_a_terminal_its_own(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert open_console(io.StringIO()).width == 80
    monkeypatch.setenv("COLUMNS", "97")
    assert open_console(io.StringIO()).width == 97
    assert open_console(Terminal()).width == 97


def test_the_rate_of_a_row_is_that_of_what_its_speedups_are_relative_to(study: Study) -> None:
    alone = {cell.variant: cell.rate for cell in study.cells if cell.execution == "serial"}
    (table,) = tables(study)
    for variant, _, rate, *_ in table.rows:
        assert float(rate) == pytest.approx(alone[variant] / 1e6, abs=0.005)


def test_the_answer_is_bold_on_a_terminal_and_plain_in_a_file(study: Study) -> None:
    terminal = Terminal()
    GilExperiment.show(study, terminal)
    assert terminal.getvalue().startswith("\x1b[1m")
    assert "\x1b" not in shown(study)


def test_an_interruption_before_the_first_round_is_told_without_a_table(study: Study) -> None:
    cells = [CellResult(**asdict(cell.cell), status="interrupted", reason="never ran") for cell in study.cells]
    verdict = Verdict("not asked", ["The study was interrupted before its first round."])
    text = shown(replace(study, cells=cells, verdict=verdict, complete=False), details=True)
    assert flat(text) == "The study was interrupted before its first round."


def test_no_number_is_split_between_two_lines() -> None:
    stream = io.StringIO()
    print_sentences(open_console(stream, 12), ["It takes 12 345 678 ns, or 1.25× [1.00–1.50] of 17 %."])
    assert stream.getvalue().split("\n") == [
        "",
        "It takes",
        "12 345 678 ns,",
        "or",
        "1.25× [1.00–1.50]",
        "of 17 %.",
        "",
    ]


def test_workers_beyond_the_cores_are_marked(study: Study) -> None:
    environment = {**study.environment, "cores": {**study.environment["cores"], "available": 1, "parallel": 1}}
    text = shown(replace(study, environment=environment))
    assert "2 workers*" in text
    assert "* more workers than the 1 core available" in text


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


def test_text_of_a_given_width_is_plain(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" not in GilExperiment.table_text(study, details=True, width=80)
