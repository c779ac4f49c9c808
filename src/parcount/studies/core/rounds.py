"""Rounds: every cell once, in a new order each time, for as long as there is time.

Interleaving lets drift of the machine (heat, clocks, neighbours) hit all cells alike, so that ratios inside a round
stay true while the times themselves move. Cells whose ratio is taken run next to each other: the less time passes
between them, the less has moved.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from operator import attrgetter
from time import perf_counter

from parcount.studies.core.cells import Cell, Round, Sample
from parcount.studies.core.statistics import LEAST_SAMPLES

MOST_ROUNDS = 200
"""More tell nothing new; only tiny jobs get there."""

RESERVE = 0.25
"""Of the time for rounds, the share kept for cells that turn out to need more."""


def measure(
    cells: Sequence[Cell],
    run: Callable[[Cell], Sample | None],
    *,
    rounds: list[Round],
    until: float,
    wanting: Callable[[list[Round]], Collection[Cell]],
    order: random.Random,
    clock: Callable[[], float] = perf_counter,
    progress: Callable[[str], None] = lambda _: None,
    baseline: Callable[[Cell], Cell] = attrgetter("baseline"),
) -> None:
    """Measure `cells` in interleaved, shuffled rounds.

    Parameters
    ----------
    cells : sequence of Cell
        What to measure.
    run : callable
        Runs a cell once. None says that the cell cannot go on: it is left out from then on.
    rounds : list of dict
        Where the samples go, as they come: an interrupted measurement leaves here what it had.
    until : float
        When, on `clock`, to be done. There are at least `LEAST_SAMPLES` rounds, however long they take.
    wanting : callable
        Which cells, after the rounds so far, need more of them for a verdict.
    order : random.Random
        Shuffles each round.
    clock, progress : callable
        The time, and who is told about each cell before it runs.
    baseline : callable
        Which cell another's ratio is to. Those that share one run next to each other.
    """
    start = clock()
    alive = list(cells)

    def one_round(chosen: Collection[Cell], title: str) -> None:
        current: Round = {}
        rounds.append(current)
        for cell in _shuffled([cell for cell in alive if cell in chosen], order, baseline):
            progress(title)
            sample = run(cell)
            if sample is None:
                alive.remove(cell)
            else:
                current[cell] = sample

    base_until = until - RESERVE * (until - start)
    while alive and len(rounds) < MOST_ROUNDS:
        one_round(alive, f"round {len(rounds) + 1}")
        now = clock()
        if len(rounds) >= LEAST_SAMPLES and now + (now - start) / len(rounds) > base_until:
            break

    longest = 0.0
    while alive and len(rounds) < MOST_ROUNDS and (chosen := set(wanting(rounds))):
        before = clock()
        if before + longest > until:
            break
        one_round(chosen | set(map(baseline, chosen)), f"round {len(rounds) + 1}, for {len(chosen)} unclear cells")
        longest = max(longest, clock() - before)


def _shuffled(cells: Sequence[Cell], order: random.Random, baseline: Callable[[Cell], Cell]) -> list[Cell]:
    """The cells in a new order, those of one baseline together."""
    families: dict[Cell, list[Cell]] = {}
    for cell in cells:
        families.setdefault(baseline(cell), []).append(cell)
    shuffled = list(families.values())
    order.shuffle(shuffled)
    for family in shuffled:
        order.shuffle(family)
    return [cell for family in shuffled for cell in family]
