from __future__ import annotations

import random
import statistics
from collections import Counter
from collections.abc import Callable, Collection

import pytest

from parcount.studies.core.cells import Cell, Round, Sample
from parcount.studies.core.claims import claim_cells, classify, undecided_cells
from parcount.studies.core.rounds import MOST_ROUNDS, measure
from tests.studies.core.synthetic import CELLS, HELD, PROCESSES, QUIET, SERIAL, THREADS, Machine, results


def run(machine: Machine, until: float, wanting: bool = True) -> list[Round]:
    rounds: list[Round] = []
    measure(
        CELLS,
        machine.run,
        rounds=rounds,
        until=until,
        wanting=lambda so_far: undecided_cells(claim_cells(results(so_far), available=2)) if wanting else (),
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
    rounds = run(machine, until=100, wanting=False)
    size = len(CELLS)
    orders = [tuple(machine.ran[start : start + size]) for start in range(0, len(machine.ran), size)]
    assert all(set(order) == set(CELLS) for order in orders)
    assert len(set(orders)) > len(orders) / 2
    for order in orders:  # what a ratio is taken of runs next to each other
        assert [cell.baseline for cell in order[::2]] == [cell.baseline for cell in order[1::2]]
    assert len(orders) == len(rounds)


def test_it_ends_in_time_and_uses_the_time() -> None:
    machine = Machine(dict(QUIET))
    run(machine, until=100, wanting=False)
    assert 65 <= machine.now <= 100


def test_three_rounds_are_the_least_however_long_they_take() -> None:
    rounds = run(Machine(dict(QUIET)), until=0.001)
    assert len(rounds) == 3


def test_tiny_cells_do_not_go_on_for_ever() -> None:
    rounds = run(Machine(dict.fromkeys(CELLS, 1e-9)), until=100, wanting=False)
    assert len(rounds) == MOST_ROUNDS


def heating(now: float) -> float:
    """A machine that slows down steadily: to half its speed in a hundred seconds."""
    return 1 + now / 100


def throttling(now: float) -> float:
    """A machine that is at half its speed for a minute of every two."""
    return 2.0 if now % 120 < 60 else 1.0


@pytest.mark.parametrize("drift", [heating, throttling])
def test_drift_of_the_machine_does_not_move_the_speedups(drift: Callable[[float], float]) -> None:
    rounds = run(Machine(dict(QUIET), drift=drift), until=300, wanting=False)
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
    assert speedup(run(machine, until=200, wanting=False), THREADS) == pytest.approx(1 / 0.51)


def test_disturbed_rounds_are_set_aside() -> None:
    def busy(cell: Cell, run: int) -> bool:
        return cell == THREADS and run % 3 != 0

    machine = Machine(
        dict(QUIET),
        slow=lambda cell, run: 1.6 if busy(cell, run) else 1.0,
        waited=lambda cell, run: 0.3 if busy(cell, run) else 0.0,
    )
    rounds = run(machine, until=200, wanting=False)
    assert speedup(rounds, THREADS) == pytest.approx(1 / 0.51)  # though two rounds of three say 1.23


def test_an_unclear_cell_gets_more_rounds_and_the_clear_ones_do_not() -> None:
    noise = random.Random(3)
    machine = Machine(
        {**QUIET, THREADS: 0.58},  # a gain of 0.72: the first, noisy rounds straddle the limit of 0.7
        slow=lambda cell, _: 1 + noise.uniform(-0.2, 0.2) if cell == THREADS else 1.0,
    )
    rounds = run(machine, until=100)
    runs = Counter(machine.ran)
    assert runs[THREADS] == runs[SERIAL] > runs[HELD] == runs[PROCESSES]
    assert machine.now <= 100 + 2 * (QUIET[SERIAL] + 0.7)
    assert len(rounds) == runs[THREADS]


def test_what_stays_unclear_is_undecided() -> None:
    noise = random.Random(4)
    machine = Machine(dict(QUIET), slow=lambda cell, _: noise.uniform(0.6, 1.9) if cell == THREADS else 1.0)
    found = {
        result.cell: classify(result) for result in results(run(machine, until=60)) if result.cell in (THREADS, HELD)
    }
    assert found[THREADS].answer == "undecided"
    assert found[HELD].answer == "not parallel"


def test_a_cell_that_fails_is_left_out_from_then_on() -> None:
    machine = Machine(dict(QUIET))

    def fails(cell: Cell) -> Sample | None:
        return None if cell == HELD else machine.run(cell)

    rounds: list[Round] = []
    measure(
        CELLS, fails, rounds=rounds, until=50, wanting=lambda _: {HELD}, order=random.Random(0), clock=machine.clock
    )
    assert len(rounds) >= 3
    assert all(set(one) == set(CELLS) - {HELD} for one in rounds if len(one) > 1)


def test_an_interruption_leaves_the_rounds_so_far() -> None:
    machine = Machine(dict(QUIET))

    def interrupted(cell: Cell) -> Sample:
        if len(machine.ran) == 2 * len(CELLS) + 2:
            raise KeyboardInterrupt
        return machine.run(cell)

    rounds: list[Round] = []

    def wanting(_: list[Round]) -> Collection[Cell]:
        return ()

    with pytest.raises(KeyboardInterrupt):
        measure(
            CELLS, interrupted, rounds=rounds, until=99, wanting=wanting, order=random.Random(0), clock=machine.clock
        )
    assert [len(one) for one in rounds] == [len(CELLS), len(CELLS), 2]
