"""Claims on results that are known."""

from __future__ import annotations

import pytest

from parcount.studies.core.analysis import CellResult
from parcount.studies.core.claims import PARALLEL, UNDECIDED, Claim, Rule, decide, left_out, on_doubts
from parcount.studies.core.findings import Findings, fastest, select, serial
from parcount.studies.core.statistics import Estimate
from tests.studies.core.synthetic import HELD, PYTHON, QUIET, SERIAL, THREADS, results, rounds_of

RULES = (
    Rule("unsure", "Perhaps{details}.", {"loop": {UNDECIDED}}),
    Rule("both", "Yes. {Numbers}, by {who}.", {"loop": {PARALLEL}, "gil": {True}}),
    Rule("rest", "No{details}."),
)


DOUBLE = Estimate(2.0, 1.9, 2.1)


def claim(answer: str, speedup: Estimate | None = DOUBLE) -> Claim:
    return Claim("tally", "cython", "threads", 2, answer, speedup)


@pytest.mark.parametrize(
    ("loop", "gil", "decided"),
    [
        (claim(UNDECIDED), True, ("unsure", "Perhaps: on 2 threads 2.00× [1.90–2.10].")),
        (claim(UNDECIDED, None), True, ("unsure", "Perhaps: cython on threads has no speedup.")),
        (claim(PARALLEL), True, ("both", "Yes. On 2 threads 2.00× [1.90–2.10], by hand.")),
        (claim(PARALLEL), False, ("rest", "No: on 2 threads 2.00× [1.90–2.10].")),
        (None, True, ("rest", "No.")),
    ],
)
def test_the_first_rule_that_fits_decides(loop: Claim | None, gil: bool, decided: tuple[str, str]) -> None:
    templates = {"loop": "on {one.workers} threads {one.speedup}"}
    assert decide(RULES, {"loop": loop}, templates, {"gil": gil}, who="hand") == decided


def test_claims_that_are_undecided_for_one_reason_stand_in_one_sentence() -> None:
    cells = [(variant, execution) for variant in ("a", "b", "c") for execution in ("threads", "processes")]
    reasons = ["of x"] * 5 + ["of y"]
    claims = [Claim("tally", *cell, 2, UNDECIDED, DOUBLE, why) for cell, why in zip(cells, reasons, strict=True)]
    assert on_doubts([*claims, claim(PARALLEL)]) == [
        "Undecided, because of x: tally (a, b) on 2 threads, 2 processes; tally (c) on 2 threads.",
        "Undecided, because of y: tally (c) on 2 processes.",
    ]


def test_cells_that_were_left_out_for_one_reason_stand_in_one_sentence() -> None:
    cells = [
        CellResult("tally", name, "threads", 2, "failed", why) for name, why in (("a", "x"), ("b", "y"), ("c", "x"))
    ]
    assert left_out(cells, lambda one: one.variant, lambda one: f" on {one.execution}") == [
        "a; c on threads: failed: x.",
        "b on threads: failed: y.",
    ]
    assert left_out(results(rounds_of(3)), str) == []


def findings(count: int = 5, waited: float = 0.0) -> Findings:
    rounds = rounds_of(count, waited=waited)
    return Findings(results(rounds), rounds, [], 2, True)


class TestFindings:
    def test_cells_are_found_by_their_fields(self) -> None:
        found = findings().results
        assert [one.cell for one in select(found, "tally", "threads")] == [THREADS, HELD]
        assert [one.cell for one in select(found, "tally", variant="cython")] == [SERIAL, THREADS]
        assert serial(found, "increment") is None
        best = fastest(found)
        assert best is not None
        assert best.cell == THREADS

    def test_rates_are_compared_inside_rounds_and_each_pair_once(self) -> None:
        found = findings()
        of = {one.cell: one for one in found.results}
        compared = found.compare(of[THREADS], of[PYTHON])
        assert compared is not None
        assert compared.against == "python"
        assert compared.speedup.median == pytest.approx(100 / QUIET[THREADS])
        assert found.compare(of[THREADS], of[PYTHON]) is compared
        alone = found.compare(of[THREADS], of[SERIAL])
        assert alone is not None
        assert alone.against == "serial/1"
        assert [*found.comparisons.values()] == [compared, alone]

    @pytest.mark.parametrize(("count", "waited", "disturbed"), [(2, 0.0, False), (5, 0.4, True)])
    def test_too_few_undisturbed_rounds_compare_nothing(self, count: int, waited: float, disturbed: bool) -> None:
        found = findings(count, waited)
        of = {one.cell: one for one in found.results}
        assert found.compare(of[THREADS], of[PYTHON]) is None
        assert found.comparisons == {}
        assert found.disturbed == disturbed
