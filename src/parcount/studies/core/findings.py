"""The results of a study, selected and compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from parcount.studies.core.analysis import FAILED, INTERRUPTED, MEASURED, CellResult, rate_ratios
from parcount.studies.core.cells import Cell, Round
from parcount.studies.core.claims import ERROR, Claim, Comparison, make_claim
from parcount.studies.core.statistics import LEAST_SAMPLES, estimate, median_sequence


@dataclass
class Findings:
    """The results of a study, and how its cells compare inside rounds.

    Attributes
    ----------
    results, rounds : sequence
        All cells, and their samples.
    available : int
        Workers that can run at the same time.
    gil : bool
        Whether this Python holds a GIL.
    load : sequence of str
        What else kept the machine busy.
    reason : str
        What limits `available`, if it is less than the cores of the machine.
    comparisons : dict of (Cell, Cell) to Comparison
        The results of `compare`, without those that are None.
    """

    results: Sequence[CellResult]
    rounds: Sequence[Round]
    available: int
    gil: bool
    load: Sequence[str] = ()
    reason: str = ""
    comparisons: dict[tuple[Cell, Cell], Comparison] = field(default_factory=dict)

    def widest(self, workload: str, variant: str, execution: str) -> CellResult | None:
        """Return the cell of several workers that has the most for which there are cores; None if there is none."""
        found = [
            one
            for one in self.results
            if (one.workload, one.variant, one.execution) == (workload, variant, execution)
            and 2 <= one.workers <= self.available
            and one.status in (MEASURED, FAILED, INTERRUPTED)
        ]
        return max(found, key=lambda one: one.workers, default=None)

    def speedups(self, *cells: CellResult) -> list[tuple[float, ...]]:
        """Return the speedups of cells over their serial ones, for each round that has all of them."""
        pairs = [(cell.cell, cell.baseline) for cell in cells]
        rounds = [one for one in self.rounds if all(cell in one for pair in pairs for cell in pair)]
        work = self._work()
        return [*zip(*(rate_ratios(rounds, work, *pair) for pair in pairs), strict=True)]

    def faster(self, statement: str, over: CellResult, under: CellResult, bound: float) -> Claim:
        """Return the claim that one cell is `bound` times as fast as another."""
        ratios = rate_ratios(self.rounds, self._work(), over.cell, under.cell)
        return make_claim(statement, [over, under], "ratio", bound, ratios)

    def compare(self, over: CellResult, under: CellResult, *, decides: bool = True) -> Comparison | None:
        """Return how many times as fast one cell is as another; None if there are too few rounds.

        The interval is that of a claim, or where nothing is decided by it, the bootstrap interval of tables.
        """
        pair = over.cell, under.cell
        if pair not in self.comparisons:
            ratios = rate_ratios(self.rounds, self._work(), *pair)
            if decides:
                speedup = median_sequence(ratios, ERROR)
            else:
                speedup = estimate(ratios) if len(ratios) >= LEAST_SAMPLES else None
            if speedup is None:
                return None
            against = under.variant if under.variant != over.variant else f"{under.execution}/{under.workers}"
            self.comparisons[pair] = Comparison(*over.cell.key, against, speedup)
        return self.comparisons[pair]

    def _work(self) -> dict[Cell, int]:
        return {result.cell: result.work or 0 for result in self.results}


def select(
    results: Sequence[CellResult],
    workload: str | None = None,
    execution: str | None = None,
    variant: str | None = None,
) -> list[CellResult]:
    """Return the cells with a rate of a workload, execution and variant, by ascending number of workers."""
    found = [
        one
        for one in results
        if one.rate
        and workload in (None, one.workload)
        and execution in (None, one.execution)
        and variant in (None, one.variant)
    ]
    return sorted(found, key=lambda one: one.workers)


def serial(results: Sequence[CellResult], workload: str, variant: str | None = None) -> CellResult | None:
    """Return the serial cell of a workload, if it has a rate."""
    return next(iter(select(results, workload, "serial", variant)), None)


def fastest(results: Sequence[CellResult]) -> CellResult | None:
    """Return the cell with the highest rate."""
    return max(results, key=lambda one: one.rate or 0.0, default=None)
