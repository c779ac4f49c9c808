"""The base of all studies, with an experiment whose times are known: nothing is waited for."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest

from parcount.studies.core.cells import Cell, Sample
from parcount.studies.core.claims import Claim
from parcount.studies.core.driver import run_study
from parcount.studies.core.experiment import Experiment
from parcount.studies.core.findings import Findings
from parcount.studies.core.options import size_option

SERIAL, THREADS = Cell("tally", "python", "serial", 1), Cell("tally", "python", "threads", 2)
RATE = 1e6


class Workers:
    """Workers that need no process."""

    def pids(self) -> list[int]:
        return []


class Synthetic(Experiment):
    """Counts at a known rate, on a clock that does not wait."""

    name = "gil"
    summary = "nothing"
    parameters = (size_option("increments"),)
    target = 0.01

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**{"seconds": 0.01, **keywords})
        self.opened: list[Cell] = []
        self.runs = 0
        self.error: BaseException | None = None
        self.exact = True

    def cells(self) -> tuple[list[Cell], dict[Cell, tuple[str, str]]]:
        return [SERIAL, THREADS], {}

    def open_pool(self, cell: Cell) -> AbstractContextManager[Any]:
        self.opened.append(cell)
        return nullcontext(Workers())

    def measure(self, cell: Cell) -> Sample:
        self.runs += 1
        if self.error is not None:
            raise self.error
        return Sample(self.work[cell] / RATE / cell.workers, self.exact)

    @staticmethod
    def claims(_: Findings) -> list[Claim]:
        return []

    @staticmethod
    def conclude(found: Findings, claims: Sequence[Claim]) -> tuple[str, list[str]]:
        return "yes", [f"{len(found.results)} cells, {len(found.rounds)} rounds, {len(claims)} claims"]


def test_a_baseline_is_calibrated_to_a_power_of_two_and_the_others_do_the_same_work() -> None:
    with Synthetic() as experiment:
        experiment.prepare([SERIAL, THREADS], lambda _: None)
    assert experiment.work == {SERIAL: 8192, THREADS: 8192}
    assert experiment.opened == [SERIAL, THREADS]
    assert [*experiment.startup] == [THREADS]


def test_a_size_that_is_given_is_not_calibrated() -> None:
    with Synthetic(size=7) as experiment:
        experiment.prepare([SERIAL, THREADS], lambda _: None)
    assert experiment.work == {SERIAL: 7, THREADS: 7}


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (ArithmeticError("on purpose"), "failed", "ArithmeticError: on purpose"),
        (OSError(errno.ENOSPC, "no room"), "not supported", "[Errno 28] no room"),
    ],
)
def test_a_cell_that_raises_is_set_aside_with_those_that_need_it(error: Exception, status: str, reason: str) -> None:
    experiment = Synthetic()
    experiment.error = error
    result = run_study(experiment)
    assert [(cell.status, cell.reason) for cell in result.cells] == [
        (status, reason),
        ("failed", "its serial cell failed"),
    ]
    assert result.complete


def test_a_study_ends_in_the_verdict_of_its_experiment() -> None:
    result = run_study(Synthetic())
    assert result.exact
    assert result.verdict.answer == "yes"
    assert result.verdict.sentences[0].startswith("2 cells, ")
    assert any(sentence.endswith("gave the exact counts.") for sentence in result.verdict.sentences)


def test_a_wrong_result_replaces_the_verdict() -> None:
    experiment = Synthetic()
    experiment.exact = False
    result = run_study(experiment)
    assert not result.exact
    assert result.verdict.answer == "not exact"
    assert result.verdict.sentences[0].startswith(f"WRONG COUNTS in {SERIAL}; {THREADS}: ")


def test_an_interruption_ends_in_a_verdict_on_what_there_is() -> None:
    def interrupt(what: str, _passed: float, _expected: float) -> None:
        if what == "round 2":
            raise KeyboardInterrupt

    result = run_study(Synthetic(), interrupt)
    assert not result.complete
    assert {len(cell.seconds) for cell in result.cells} == {1}
    assert "interrupted" in result.verdict.sentences[-1]
