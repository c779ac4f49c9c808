"""The results of a study, selected and compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from parcount.studies.core.analysis import CellResult, rate_ratios
from parcount.studies.core.cells import Cell, Round
from parcount.studies.core.claims import Claim, Comparison
from parcount.studies.core.statistics import LEAST_SAMPLES, estimate


@dataclass
class Findings:
    """The results of a study, and how its cells compare inside rounds.

    Attributes
    ----------
    results, rounds, claims : sequence
        All cells, their samples, and the claims about them.
    available : int
        Cores that this process may use.
    gil : bool
        Whether this Python holds a GIL.
    comparisons : dict of (Cell, Cell) to Comparison
        The results of `compare`, without those that are None.
    disturbed : bool
        Whether `compare` returned None because other programs used the cores.
    """

    results: Sequence[CellResult]
    rounds: Sequence[Round]
    claims: Sequence[Claim]
    available: int
    gil: bool
    comparisons: dict[tuple[Cell, Cell], Comparison] = field(default_factory=dict)
    disturbed: bool = False

    def claim(self, workload: str | None, variant: str, execution: str) -> Claim | None:
        """Return the claim about such a cell."""
        wanted = (workload, variant, execution)
        return next((one for one in self.claims if (one.workload, one.variant, one.execution) == wanted), None)

    def compare(self, over: CellResult, under: CellResult) -> Comparison | None:
        """Return how many times as fast one cell is as another; None if there are too few undisturbed rounds."""
        work = {result.cell: result.work or 0 for result in (over, under)}
        speeds, clean = rate_ratios(self.rounds, work, over.cell, under.cell)
        if clean < LEAST_SAMPLES:
            self.disturbed |= len(speeds) >= LEAST_SAMPLES
            return None
        against = under.variant if under.variant != over.variant else f"{under.execution}/{under.workers}"
        pair = over.cell, under.cell
        if pair not in self.comparisons:
            self.comparisons[pair] = Comparison(*over.cell.key, against, estimate(speeds))
        return self.comparisons[pair]


def select(
    results: Sequence[CellResult], workload: str, execution: str | None = None, variant: str | None = None
) -> list[CellResult]:
    """Return the cells with a rate of a workload, execution and variant, by ascending number of workers."""
    found = [
        one
        for one in results
        if one.rate
        and one.workload == workload
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
