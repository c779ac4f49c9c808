from __future__ import annotations

import pytest

from parcount.studies.core.analysis import CellResult, analyse, rate_ratios
from parcount.studies.core.cells import Cell, Sample
from tests.studies.core.synthetic import HELD, PROCESSES, SERIAL, THREADS, WORK, results, rounds_of


def by_cell(found: list[CellResult]) -> dict[Cell, CellResult]:
    return {result.cell: result for result in found}


def test_known_samples_give_known_results() -> None:
    result = by_cell(results(rounds_of(5)))[PROCESSES]
    assert result.status == "measured"
    assert result.exact is True
    assert result.work == 1000
    assert result.seconds == [0.52] * 5
    assert result.rate == pytest.approx(1000 / 0.52)
    assert result.speedup.median == pytest.approx(1 / 0.52)
    assert result.ratios == [1.92308] * 5


def test_break_even_is_where_both_take_equally_long() -> None:
    result = by_cell(results(rounds_of(5)))[PROCESSES]
    serial_rate = 1000.0
    n = result.break_even
    assert n / serial_rate == pytest.approx(result.startup + n / result.rate, rel=0.01)


def test_what_is_no_faster_never_breaks_even() -> None:
    slow = {SERIAL: 1.0, Cell("tally", "cython", "processes", 2): 1.1}
    found = analyse(
        list(slow), rounds_of(4, slow), work=dict.fromkeys(slow, 10), startup=dict.fromkeys(slow, 0.1), unmeasured={}
    )
    assert [result.break_even for result in found] == [None, None]


def test_one_wrong_count_fails_the_cell() -> None:
    rounds = rounds_of(4)
    rounds[2][THREADS] = Sample(0.5, exact=False)
    result = by_cell(results(rounds))[THREADS]
    assert (result.exact, result.status) == (False, "failed")
    assert by_cell(results(rounds))[HELD].exact is True


def test_cells_that_did_not_run_stand_in_the_result_with_their_reason() -> None:
    missing = Cell("tally", "numba", "serial", 1)
    found = analyse(
        [SERIAL, missing],
        [{SERIAL: Sample(1.0, True)}],
        work=WORK,
        startup={},
        unmeasured={missing: ("not installed", "why")},
    )
    assert [(result.status, result.reason, result.exact) for result in found] == [
        ("measured", None, True),
        ("not installed", "why", None),
    ]


def test_a_cell_interrupted_before_its_first_run_says_so() -> None:
    (result,) = analyse([SERIAL], [], work=WORK, startup={}, unmeasured={})
    assert (result.status, result.seconds) == ("interrupted", [])
    assert "interrupted" in result.reason


def test_nothing_to_count_is_exact_and_has_no_speed() -> None:
    cells = [SERIAL, THREADS]
    found = analyse(
        cells, rounds_of(3, dict.fromkeys(cells, 1e-6)), work=dict.fromkeys(cells, 0), startup={}, unmeasured={}
    )
    assert [(result.exact, result.rate, result.speedup) for result in found] == [(True, None, None)] * 2


def test_ratios_are_taken_inside_rounds_only() -> None:
    rounds = [
        {SERIAL: Sample(2.0, True), THREADS: Sample(1.0, True)},
        {SERIAL: Sample(9.0, True)},
        {THREADS: Sample(1.0, True)},
    ]
    assert rate_ratios(rounds, WORK, THREADS, SERIAL) == [2.0]


@pytest.mark.parametrize(
    ("waited", "disturbed"), [([0.0] * 6, False), ([0.4, 0.4] + [0.0] * 4, False), ([0.1] * 3, True)]
)
def test_a_cell_is_disturbed_that_waited_in_many_rounds(waited: list[float], disturbed: bool) -> None:
    assert CellResult("tally", "cython", "threads", 2, "measured", waited=waited).disturbed is disturbed


def test_without_intervals_there_are_no_speedups() -> None:
    found = analyse([SERIAL, THREADS], rounds_of(3), work=WORK, startup={}, unmeasured={}, intervals=False)
    assert [(result.rate is None, result.speedup) for result in found] == [(False, None)] * 2


def test_cells_of_unequal_work_are_compared_by_what_they_do_in_a_second() -> None:
    rounds = [{SERIAL: Sample(2.0, True), THREADS: Sample(1.0, True)}] * 3
    work = {SERIAL: 100, THREADS: 400}
    assert rate_ratios(rounds, work, THREADS, SERIAL) == [8.0] * 3
    assert rate_ratios(rounds, work, SERIAL, THREADS) == [0.125] * 3
    found = analyse([SERIAL, THREADS], rounds, work=work, startup={THREADS: 3.5}, unmeasured={})
    assert found[1].speedup.median == pytest.approx(8.0)
    # n / 50 = 3.5 + n / 400
    assert found[1].break_even == 200


def test_what_was_not_measured_of_a_sample_stands_nowhere() -> None:
    rounds = [{SERIAL: Sample(1.0, True, cpu=0.5), THREADS: Sample(1.0, True)}] * 2
    found = analyse([SERIAL, THREADS], rounds, work=WORK, startup={}, unmeasured={})
    assert [(result.cpu, result.server) for result in found] == [([0.5, 0.5], []), ([], [])]
