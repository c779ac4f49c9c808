from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from parcount.report.units import in_words
from parcount.studies.core.analysis import CellResult, analyse
from parcount.studies.core.cells import Cell, Sample
from parcount.studies.core.claims import Verdict
from parcount.studies.core.findings import Findings
from parcount.studies.gil.experiment import GilExperiment
from tests.studies.core.synthetic import APART, FOUR, HELD, HELD_SERIAL, QUIET, SERIAL, THREADS, results, rounds_of

ALL = {**QUIET, APART: 0.51}


def verdict(
    seconds: dict[Cell, float] = ALL,
    *,
    waited: float = 0.0,
    count: int = 12,
    available: int = 2,
    gil: bool = True,
    load: Sequence[str] = (),
    partial: bool = False,
) -> Verdict:
    rounds = rounds_of(count, seconds, waited)
    found = Findings(results(rounds, list(seconds)), rounds, available, gil, load)
    return GilExperiment.build_verdict(found, partial=partial)


@pytest.mark.parametrize(
    ("threads", "held", "processes", "answer"),
    [
        (0.51, 1.00, 0.50, "yes"),
        (0.62, 1.02, 0.60, "yes"),  # a shared machine gives 1.67, and threads reach as much
        (0.78, 1.00, 0.77, "yes"),  # two hardware threads of one core
        (0.51, 0.52, 0.50, "no"),  # parallel either way: it was not the GIL
        (0.98, 1.00, 0.50, "no"),
        (0.75, 1.00, 0.50, "partly"),
        (0.85, 1.00, 0.70, "partly"),
        (0.90, 1.00, 0.98, "undecided"),  # the machine gives nothing
        (0.60, 0.80, 0.50, "undecided"),  # the loop that holds the GIL is faster too
    ],
)
def test_the_answer_on_a_python_with_a_gil(threads: float, held: float, processes: float, answer: str) -> None:
    assert verdict({**QUIET, THREADS: threads, HELD: held, APART: processes}).answer == answer


def test_half_of_the_work_is_found_to_be_parallel() -> None:
    found = verdict({**QUIET, THREADS: 0.75, APART: 0.5})
    assert "as if 50 % [50–50] of its work were parallel" in found.sentences[0]
    (share,) = [claim for claim in found.claims if claim.quantity == "parallel share"]
    assert share.estimate is not None
    assert share.estimate.median == pytest.approx(0.5)
    assert share.holds is False


@pytest.mark.parametrize(("threads", "how"), [(0.51, "do"), (0.98, "do not")])
def test_a_python_without_a_gil_says_so(threads: float, how: str) -> None:
    found = verdict({**ALL, THREADS: threads, HELD: threads}, gil=False)
    assert found.answer == "no GIL"
    assert found.sentences[0].startswith(f"This Python has no GIL, and threads {how} run in parallel.")


def test_the_sentence_rests_on_the_numbers() -> None:
    assert verdict({**ALL, APART: 0.5}).sentences[0] == (
        "Yes. On 2 threads, the loop that releases the GIL runs 1.96× [1.96–1.96] as fast as on one, 98 % [98–98] of "
        "what 2 processes reach (2.00×); the same loop holding the GIL, 1.00×."
    )


@pytest.mark.parametrize("without", [[APART], [HELD, HELD_SERIAL], [APART, HELD, HELD_SERIAL]])
def test_what_was_left_out_is_supposed(without: list[Cell]) -> None:
    assert verdict({cell: time for cell, time in ALL.items() if cell not in without}).answer == "yes"


def test_each_claim_has_its_interval() -> None:
    holds = {claim.statement: claim.holds for claim in verdict().claims}
    assert holds == {
        "the machine gives more to several processes": True,
        "threads are as parallel as processes": True,
        "releasing the GIL pays": True,
        "threads that hold the GIL are parallel": False,
    }


def test_where_the_machine_gives_nothing_no_more_is_claimed() -> None:
    found = verdict({**QUIET, THREADS: 0.98, APART: 0.98})
    assert found.answer == "undecided"
    assert found.sentences[0].startswith(
        "Undecided: this machine gives several workers no more than one (the reason is not known). On 2 threads, "
    )
    assert [claim.holds for claim in found.claims] == [False]
    waiting = verdict({**QUIET, THREADS: 0.98, APART: 0.98}, waited=0.4).sentences[0]
    assert "no more than one (other programs, or the host of this virtual machine, use the cores)" in waiting


@pytest.mark.parametrize(("threads", "answer"), [(0.51, "yes"), (0.75, "undecided"), (0.98, "undecided")])
def test_beside_other_programs_nothing_is_denied(threads: float, answer: str) -> None:
    burning = ["burn (process 7) kept 1.00 cores busy"]
    found = verdict({**QUIET, THREADS: threads, APART: 0.52}, waited=0.4, load=burning)
    assert found.answer == answer
    text = "\n".join(found.sentences)
    assert "burn (process 7)" in text
    assert ("quiet machine" in text) == (answer == "undecided")


def test_too_few_rounds_decide_nothing() -> None:
    found = verdict(count=11)
    assert found.answer == "undecided"
    assert {claim.holds for claim in found.claims} == {None}
    assert "Undecided whether releasing the GIL pays: there were too few rounds." in found.sentences


def test_a_loop_that_failed_is_told_with_the_reason() -> None:
    rounds = rounds_of(12, {SERIAL: 1.0})
    (serial,) = results(rounds, [SERIAL])
    failed = CellResult(*THREADS.key, "failed", "ArithmeticError: on purpose")
    found = GilExperiment.build_verdict(Findings([serial, failed], rounds, 2, True))
    assert found.answer == "undecided"
    assert "ArithmeticError: on purpose" in found.sentences[0]


def test_several_workloads_have_a_sentence_each() -> None:
    other = {replace(cell, workload="bincount"): time for cell, time in {**ALL, THREADS: 0.98}.items()}
    rounds = rounds_of(12, {**ALL, **other})
    work = {cell: 1000 for one in rounds for cell in one}
    found = analyse([*ALL, *other], rounds, work=work, startup={}, unmeasured={})
    verdict = GilExperiment.build_verdict(Findings(found, rounds, 2, True))
    assert verdict.answer == "yes"  # of the first
    assert [sentence.split(". ")[0] for sentence in verdict.sentences[:2]] == ["tally: Yes", "bincount: No"]


def test_a_wrong_count_replaces_the_verdict() -> None:
    rounds = rounds_of(5)
    rounds[1][HELD] = Sample(1.0, exact=False)
    found = GilExperiment.build_verdict(Findings(results(rounds), rounds, 2, True))
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
    rounds = rounds_of(12, {SERIAL: 1.0, THREADS: 0.5, FOUR: 0.5})
    for available, workers in ((2, 2), (3, 2), (4, 4)):
        found = Findings(results(rounds, [SERIAL, THREADS, FOUR]), rounds, available, True)
        cells = {cell for claim in GilExperiment.build_verdict(found).claims for cell in claim.cells}
        assert cells == {f"tally/cython/threads/{workers}"}


def test_an_interruption_is_told() -> None:
    assert "interrupted" in verdict(partial=True).sentences[-1]


def test_compiled_against_python_takes_the_different_sizes_into_account() -> None:
    found = verdict()
    speeds = {(one.variant, one.against): one.speedup.median for one in found.comparisons}
    assert speeds["cython", "python"] == pytest.approx(100)  # equal seconds, a hundred times the work
    assert "tally: compiled by Cython, the loop is 100 times as fast as in Python." in found.sentences


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
