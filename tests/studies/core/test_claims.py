"""Claims on results that are known."""

from __future__ import annotations

import pytest

from parcount.studies.core.analysis import CellResult
from parcount.studies.core.claims import PARALLEL, UNDECIDED, Rule, decide, left_out
from parcount.studies.core.findings import Findings, fastest, select, serial
from tests.studies.core.synthetic import HELD, PYTHON, QUIET, SERIAL, THREADS, results, rounds_of

RULES = (
    Rule("unsure", "perhaps {number}.", {"loop": {UNDECIDED}}),
    Rule("both", "yes: {number}.", {"loop": {PARALLEL}, "gil": {True}}),
    Rule("rest", "no."),
)


@pytest.mark.parametrize(
    ("loop", "gil", "decided"),
    [
        (UNDECIDED, True, ("unsure", "Perhaps 2×.")),
        (PARALLEL, True, ("both", "Yes: 2×.")),
        (PARALLEL, False, ("rest", "No.")),
    ],
)
def test_the_first_rule_that_fits_decides(loop: str, gil: bool, decided: tuple[str, str]) -> None:
    assert decide(RULES, {"loop": loop, "gil": gil}, number="2×") == decided


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
