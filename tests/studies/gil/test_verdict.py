from __future__ import annotations

from typing import Any

import pytest

from parcount.report.units import in_words
from parcount.studies.core.cells import Cell, Sample
from parcount.studies.core.claims import Verdict, classify
from parcount.studies.gil.experiment import GilExperiment
from tests.studies.core.synthetic import APART, FOUR, HELD, INTERPRETERS, QUIET, SERIAL, THREADS, results, rounds_of


def verdict(seconds: dict[Cell, float] = QUIET, *, waited: float = 0.0, count: int = 6, **more: Any) -> Verdict:
    rounds = rounds_of(count, seconds, waited)
    arguments = {"available": 2, "gil": True, **more}
    return GilExperiment.build_verdict(results(rounds, list(seconds)), rounds, **arguments)


@pytest.mark.parametrize(
    ("threads", "held", "answer"),
    [
        (0.51, 1.00, "yes"),
        (0.51, 0.52, "no"),  # parallel either way: it was not the GIL
        (0.98, 1.00, "no"),
        (0.70, 1.00, "partly"),
    ],
)
def test_the_answer_on_a_python_with_a_gil(threads: float, held: float, answer: str) -> None:
    assert verdict({**QUIET, THREADS: threads, HELD: held}).answer == answer


def test_what_separate_processes_cannot_do_either_is_not_the_gils_doing() -> None:
    found = verdict({**QUIET, THREADS: 0.9, APART: 0.92})
    assert found.answer == "undecided"
    assert "other than the GIL" in found.sentences[0]
    assert verdict({**QUIET, THREADS: 0.98, APART: 0.52}).answer == "no"


def test_a_python_without_a_gil_says_so() -> None:
    found = verdict({**QUIET, HELD: 0.51}, gil=False)
    assert found.answer == "no GIL"
    assert "no GIL, and threads do run in parallel" in found.sentences[0]


def test_the_sentence_rests_on_the_numbers() -> None:
    first = verdict().sentences[0]
    assert first.startswith("Yes: releasing the GIL makes threads truly parallel here.")
    assert "1.96× [1.96–1.96]" in first
    assert "1.00× [1.00–1.00]" in first


def test_each_way_to_have_workers_has_a_sentence() -> None:
    text = "\n".join(verdict({**QUIET, INTERPRETERS: 0.5}).sentences)
    assert "tally, 2 processes against serial: python 1.92×." in text
    assert "tally, 2 interpreters against serial: python 2.00×." in text


def test_waiting_for_cores_makes_everything_undecided_never_wrong() -> None:
    found = verdict({**QUIET, THREADS: 0.9}, waited=0.4, load=["burn (process 7) kept 1.00 cores busy"])
    assert found.answer == "undecided"
    assert {claim.answer for claim in found.claims} == {"undecided"}
    text = "\n".join(found.sentences)
    assert "burn (process 7)" in text
    assert "quiet machine" in text


def test_a_load_that_disturbed_nothing_is_named_and_no_more() -> None:
    found = verdict(load=["idle (process 7) kept 0.20 cores busy"])
    assert found.answer == "yes"
    assert any("idle (process 7)" in sentence and "quiet machine" not in sentence for sentence in found.sentences)


def test_too_few_rounds_decide_nothing() -> None:
    found = verdict(count=2)
    assert found.answer == "undecided"
    assert all(claim.because == "there were too few rounds" for claim in found.claims)


def test_a_wrong_count_replaces_the_verdict() -> None:
    rounds = rounds_of(5)
    rounds[1][HELD] = Sample(1.0, exact=False)
    found = GilExperiment.build_verdict(results(rounds), rounds, available=2, gil=True)
    assert found.answer == "not exact"
    assert str(HELD) in found.sentences[0]
    assert not any("exact counts" in sentence for sentence in found.sentences)


def test_what_was_not_measured_is_not_claimed() -> None:
    found = verdict({SERIAL: 1.0})
    assert found.answer == "not asked"
    assert found.claims == []


def test_one_core_claims_nothing() -> None:
    found = verdict(available=1)
    assert (found.answer, found.claims) == ("not asked", [])
    assert "One core" in found.sentences[0]


def test_more_workers_than_cores_are_not_what_a_claim_is_about() -> None:
    found = verdict(available=3)
    assert {claim.workers for claim in found.claims} == {2}
    rounds = rounds_of(5, {SERIAL: 1.0, THREADS: 0.5, FOUR: 0.5})
    for available, workers in ((2, {2}), (3, {2}), (4, {4})):
        found = GilExperiment.build_verdict(
            results(rounds, [SERIAL, THREADS, FOUR]), rounds, available=available, gil=True
        )
        assert {claim.workers for claim in found.claims} == workers


def test_an_interruption_is_told() -> None:
    assert "interrupted" in verdict(partial=True).sentences[-1]


def test_compiled_against_python_takes_the_different_sizes_into_account() -> None:
    (comparison,) = verdict().comparisons
    assert (comparison.variant, comparison.against) == ("cython", "python")
    assert comparison.speedup.median == pytest.approx(100)  # equal seconds, a hundred times the work


def test_only_undecided_cells_that_ran_want_more_rounds() -> None:
    found = results(rounds_of(5, {**QUIET, THREADS: 0.588}))
    assert GilExperiment.undecided_cells(found, available=2) == set()
    spread = rounds_of(5)
    for number, one in enumerate(spread):
        one[THREADS] = Sample(0.5 + 0.1 * number, True)
    assert GilExperiment.undecided_cells(results(spread), available=2) == {THREADS}


@pytest.mark.parametrize(
    ("speedup", "answer"),
    [(1.70, "parallel"), (1.69, "partly parallel"), (1.21, "partly parallel"), (1.20, "not parallel")],
)
def test_the_limits_of_the_answers(speedup: float, answer: str) -> None:
    seconds = {SERIAL: 1.0, THREADS: 1 / speedup}
    (claim,) = [classify(result) for result in results(rounds_of(5, seconds), list(seconds)) if result.cell == THREADS]
    assert claim.answer == answer


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.0 thousand"),
        (123_456, "120 thousand"),
        (9_960_000, "10.0 million"),
        (3 * 10**12, "3 000 billion"),
    ],
)
def test_numbers_in_words(number: int, words: str) -> None:
    assert in_words(number) == words
