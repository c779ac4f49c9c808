"""Rounds: every cell once, in a new order each time, for as long as there is time.

Drift of the machine (temperature, clock frequency, other programs) affects all cells of a round alike, so ratios within
a round are stable even if the times are not. Cells whose ratio is taken run next to each other.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from operator import attrgetter
from time import perf_counter

from parcount.studies.core.cells import Cell, Round, Sample
from parcount.studies.core.statistics import LEAST_SAMPLES

BASE_ROUNDS = 6
"""Rounds of all cells: enough for the medians of a table."""

MOST_ROUNDS = 400
"""More rounds do not narrow the intervals much; only tiny jobs get there."""

RESERVE = 0.25
"""Share of the time that is kept for undecided claims."""


def measure(
    cells: Sequence[Cell],
    run: Callable[[Cell], Sample | None],
    *,
    rounds: list[Round],
    until: float,
    undecided: Callable[[], Collection[Cell]],
    order: random.Random,
    clock: Callable[[], float] = perf_counter,
    progress: Callable[[str, float], None] = lambda _title, _end: None,
    baseline: Callable[[Cell], Cell] = attrgetter("baseline"),
) -> None:
    """Measure cells in interleaved, shuffled rounds until nothing is undecided, or the clock shows `until`.

    All cells take part in the first `BASE_ROUNDS` rounds, but in fewer, and at least `LEAST_SAMPLES`, where these would
    take more than three quarters of the time. Only undecided cells and their baselines take part in later rounds.

    Parameters
    ----------
    cells : sequence of Cell
        What to measure.
    run : callable
        Runs a cell once. A cell for which it returns None is left out from then on.
    rounds : list of dict
        The samples are added here as they are measured, so that an interruption does not lose them.
    until, clock
        The latest time to end at, and the function that returns the time.
    undecided : callable
        Returns the cells that need more rounds.
    order : random.Random
        Shuffles each round.
    progress : callable
        Called before each cell with a description and the time at which the measurement is expected to end.
    baseline : callable
        Returns the cell that another's ratio is relative to.
    """
    start = clock()
    alive = list(cells)

    def one_round(chosen: Collection[Cell], title: str, end: float) -> None:
        current: Round = {}
        rounds.append(current)
        for cell in _shuffled([cell for cell in alive if cell in chosen], order, baseline):
            progress(title, end)
            sample = run(cell)
            if sample is None:
                alive.remove(cell)
            else:
                current[cell] = sample

    base_until = until - RESERVE * (until - start)
    average = 0.0
    while alive and len(rounds) < BASE_ROUNDS:
        end = min(until, start + BASE_ROUNDS * average) if rounds else until
        one_round(alive, f"round {len(rounds) + 1}", end)
        average = (clock() - start) / len(rounds)
        if len(rounds) >= LEAST_SAMPLES and clock() + average > base_until:
            break

    longest = 0.0
    while alive and len(rounds) < MOST_ROUNDS and (chosen := set(undecided()).intersection(alive)):
        before = clock()
        if before + longest > until:
            break
        chosen |= set(map(baseline, chosen))
        one_round(chosen, f"round {len(rounds) + 1}, for what is undecided", until)
        longest = max(longest, clock() - before)


def _shuffled(cells: Sequence[Cell], order: random.Random, baseline: Callable[[Cell], Cell]) -> list[Cell]:
    """Return the cells in a new order, those of one baseline together."""
    families: dict[Cell, list[Cell]] = {}
    for cell in cells:
        families.setdefault(baseline(cell), []).append(cell)
    shuffled = list(families.values())
    order.shuffle(shuffled)
    for family in shuffled:
        order.shuffle(family)
    return [cell for family in shuffled for cell in family]
