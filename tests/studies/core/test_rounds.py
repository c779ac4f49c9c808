from __future__ import annotations

import random
import statistics
from collections import Counter
from collections.abc import Callable, Collection

import pytest

from parcount.studies.core.cells import Cell, Round, Sample
from parcount.studies.core.rounds import BASE_ROUNDS, MOST_ROUNDS, measure
from tests.studies.core.synthetic import CELLS, HELD, PROCESSES, QUIET, SERIAL, THREADS, Machine, results


def run(machine: Machine, until: float, undecided: Collection[Cell] = (), most: int = 1000) -> list[Round]:
    """Measure while the machine has time, and until there are `most` rounds."""
    rounds: list[Round] = []
    measure(
        CELLS,
        machine.run,
        rounds=rounds,
        until=until,
        undecided=lambda: undecided if len(rounds) < most else (),
        order=random.Random(0),
        clock=machine.clock,
    )
    return rounds


def speedup(rounds: list[Round], cell: Cell) -> float:
    found = next(result.speedup for result in results(rounds) if result.cell == cell)
    assert found is not None
    return found.median


def test_every_round_runs_every_cell_once_in_an_order_of_its_own() -> None:
    machine = Machine(dict(QUIET))
    rounds = run(machine, until=100, undecided=CELLS)
    size = len(CELLS)
    orders = [tuple(machine.ran[start : start + size]) for start in range(0, len(machine.ran), size)]
    assert all(set(order) == set(CELLS) for order in orders)
    assert len(set(orders)) > len(orders) / 2
    for order in orders:  # what a ratio is taken of runs next to each other
        assert [cell.baseline for cell in order[::2]] == [cell.baseline for cell in order[1::2]]
    assert len(orders) == len(rounds)


def test_it_ends_as_soon_as_nothing_is_undecided() -> None:
    machine = Machine(dict(QUIET))
    assert len(run(machine, until=100)) == BASE_ROUNDS
    assert len(run(machine, until=200, undecided=[THREADS], most=20)) == 20


def test_it_ends_in_time_whatever_is_undecided() -> None:
    machine = Machine(dict(QUIET))
    run(machine, until=100, undecided=CELLS)
    assert 90 <= machine.now <= 100


def test_three_rounds_are_the_least_however_long_they_take() -> None:
    rounds = run(Machine(dict(QUIET)), until=0.001, undecided=CELLS)
    assert len(rounds) == 3


def test_a_quarter_of_the_time_is_kept_for_what_is_undecided() -> None:
    machine = Machine(dict(QUIET))
    rounds = run(machine, until=30, undecided=[THREADS])
    assert [len(one) for one in rounds[:4]] == [len(CELLS)] * 4
    assert {len(one) for one in rounds[4:]} == {2}


def test_tiny_cells_do_not_go_on_for_ever() -> None:
    rounds = run(Machine(dict.fromkeys(CELLS, 1e-9)), until=100, undecided=[THREADS])
    assert len(rounds) == MOST_ROUNDS


def heating(now: float) -> float:
    """A machine that slows down steadily: to half its speed in a hundred seconds."""
    return 1 + now / 100


def throttling(now: float) -> float:
    """A machine that is at half its speed for a minute of every two."""
    return 2.0 if now % 120 < 60 else 1.0


@pytest.mark.parametrize("drift", [heating, throttling])
def test_drift_of_the_machine_does_not_move_the_speedups(drift: Callable[[float], float]) -> None:
    rounds = run(Machine(dict(QUIET), drift=drift), until=300, undecided=CELLS)
    # Within a round the machine drifts a little too; that is what shuffling averages out.
    assert speedup(rounds, THREADS) == pytest.approx(1 / 0.51, rel=0.03)
    assert speedup(rounds, HELD) == pytest.approx(1.0, rel=0.03)


def test_measuring_cell_after_cell_would_have_been_wrong_under_that_drift() -> None:
    """The control of the test above: without interleaving the same drift gives a wrong speedup."""
    machine = Machine(dict(QUIET), drift=heating)
    serial = [machine.run(SERIAL).seconds for _ in range(60)]
    threads = [machine.run(THREADS).seconds for _ in range(60)]
    assert statistics.median(serial) / statistics.median(threads) < 0.85 / 0.51


def test_outliers_do_not_move_the_speedups() -> None:
    machine = Machine(dict(QUIET), slow=lambda cell, run: 8.0 if cell == THREADS and run % 5 == 2 else 1.0)
    assert speedup(run(machine, until=200, undecided=CELLS), THREADS) == pytest.approx(1 / 0.51)


def test_undecided_cells_get_more_rounds_and_the_others_do_not() -> None:
    machine = Machine(dict(QUIET))
    rounds = run(machine, until=100, undecided=[THREADS], most=15)
    runs = Counter(machine.ran)
    assert runs[THREADS] == runs[SERIAL] == len(rounds) == 15
    assert runs[HELD] == runs[PROCESSES] == BASE_ROUNDS


def test_a_cell_that_fails_is_left_out_from_then_on() -> None:
    machine = Machine(dict(QUIET))

    def fails(cell: Cell) -> Sample | None:
        return None if cell == HELD else machine.run(cell)

    rounds: list[Round] = []
    measure(
        CELLS,
        fails,
        rounds=rounds,
        until=50,
        undecided=lambda: {HELD},
        order=random.Random(0),
        clock=machine.clock,
    )
    assert len(rounds) == BASE_ROUNDS
    assert all(set(one) == set(CELLS) - {HELD} for one in rounds)


def test_an_interruption_leaves_the_rounds_so_far() -> None:
    machine = Machine(dict(QUIET))

    def interrupted(cell: Cell) -> Sample:
        if len(machine.ran) == 2 * len(CELLS) + 2:
            raise KeyboardInterrupt
        return machine.run(cell)

    rounds: list[Round] = []

    with pytest.raises(KeyboardInterrupt):
        measure(
            CELLS,
            interrupted,
            rounds=rounds,
            until=99,
            undecided=lambda: (),
            order=random.Random(0),
            clock=machine.clock,
        )
    assert [len(one) for one in rounds] == [len(CELLS), len(CELLS), 2]
