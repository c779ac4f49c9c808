"""Claims on results that are known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parcount.studies.core.analysis import CellResult
from parcount.studies.core.claims import Claim, left_out, make_claim, on_doubts, parallel_share
from parcount.studies.core.findings import Findings, fastest, select, serial
from tests.studies.core.synthetic import HELD, PYTHON, QUIET, SERIAL, THREADS, results, rounds_of


def claim(*samples: float, upper: list[float] | None = None) -> Claim:
    (cell,) = [one for one in results(rounds_of(3)) if one.cell == THREADS]
    return make_claim("it pays", [cell], "ratio", 1.1, samples, upper)


class TestClaim:
    @pytest.mark.parametrize(("samples", "holds"), [([1.2], True), ([1.0], False), ([1.0, 1.2], None)])
    def test_it_holds_if_the_whole_interval_is_above_the_bound(self, samples: list[float], holds: bool | None) -> None:
        found = claim(*samples * 20)
        assert found.holds is holds
        assert found.cells == ["tally/cython/threads/2"]

    def test_too_few_rounds_decide_nothing(self) -> None:
        found = claim(*[9.0] * 11)
        assert (found.estimate, found.holds) == (None, None)
        assert claim(*[9.0] * 12).holds is True

    def test_what_is_only_known_to_be_in_a_range_widens_the_interval(self) -> None:
        found = claim(*[0.5] * 20, upper=[2.0] * 20)
        assert found.holds is None
        assert found.estimate is not None
        assert (found.estimate.low, found.estimate.high) == (0.5, 2.0)
        assert found.samples == [1.25] * 20

    def test_doubts_are_told_with_the_numbers(self) -> None:
        assert on_doubts([claim(*[1.0, 1.2] * 20), claim(*[2.0] * 20), claim(1.0)]) == [
            "Undecided whether it pays: the ratio is 1.10× [1.00–1.20], and the limit is 1.1.",
            "Undecided whether it pays: there were too few rounds.",
        ]


class TestParallelShare:
    @given(st.floats(0.0, 1.0), st.floats(1.01, 100.0))
    def test_it_inverts_amdahls_law(self, share: float, possible: float) -> None:
        least, most = parallel_share(1 / ((1 - share) + share / possible), possible)
        assert least == most == pytest.approx(share, abs=1e-9)

    def test_nothing_is_known_where_nothing_can_be_gained(self) -> None:
        least, most = parallel_share(1.5, 0.99)
        assert least < 0
        assert most > 1


def test_cells_that_were_left_out_for_one_reason_stand_in_one_sentence() -> None:
    cells = [
        CellResult("tally", name, "threads", 2, "failed", why) for name, why in (("a", "x"), ("b", "y"), ("c", "x"))
    ]
    assert left_out(cells, lambda one: one.variant, lambda one: f" on {one.execution}") == [
        "a; c on threads: failed: x.",
        "b on threads: failed: y.",
    ]
    assert left_out(results(rounds_of(3)), str) == []


def findings(count: int = 12) -> Findings:
    rounds = rounds_of(count)
    return Findings(results(rounds), rounds, 2, True)


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

    def test_too_few_rounds_compare_nothing(self) -> None:
        found = findings(11)
        of = {one.cell: one for one in found.results}
        assert found.compare(of[THREADS], of[PYTHON]) is None
        assert found.comparisons == {}

    def test_speedups_are_taken_of_rounds_that_have_all_cells(self) -> None:
        found = findings()
        of = {one.cell: one for one in found.results}
        found.rounds[3].pop(HELD)
        found.rounds[4].pop(SERIAL)
        pairs = found.speedups(of[THREADS], of[HELD])
        assert pairs == [(pytest.approx(1 / QUIET[THREADS]), 1.0)] * 10
        assert len(found.speedups(of[THREADS])) == 11

    def test_the_widest_cell_has_the_most_workers_for_which_there_are_cores(self) -> None:
        found = findings()
        widest = found.widest("tally", "cython", "threads")
        assert widest is not None
        assert widest.cell == THREADS
        found.available = 1
        assert found.widest("tally", "cython", "threads") is None
