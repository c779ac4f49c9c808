"""From samples to results: what each cell's rounds say."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import numpy as np

from parcount.studies.core.cells import Cell, Round
from parcount.studies.core.statistics import LEAST_SAMPLES, Estimate, estimate

MEASURED = "measured"
NOT_INSTALLED = "not installed"
NOT_SUPPORTED = "not supported"
FAILED = "failed"


@dataclass(frozen=True)
class CellResult:
    """What a study knows of one cell.

    Attributes
    ----------
    workload, variant, execution, workers
        Which cell.
    status : {"measured", "not installed", "not supported", "failed"}
        Whether it ran.
    reason : str or None
        Why it did not.
    exact : bool or None
        Whether every run gave the exact counts; None if it never ran.
    work : int or None
        Units of work in one run.
    seconds : list of float
        One a round, from the barrier to the merged counts.
    rate : float or None
        Units of work per second, median.
    speedup : Estimate or None
        Against its baseline in the same round: the same variant's serial cell, or that of all variants.
    startup : float or None
        Seconds by which the first answer of new workers comes later than a warm one.
    break_even : int or None
        Increments from which this cell beats the serial one with its start-up counted; None if it never does.
    waited : list of float
        One a round: of the time that its workers could have run, the share that they waited for a core.
    clean : int
        Rounds in which neither it nor its baseline was disturbed by other programs: what the speedup rests on,
        if there are at least three.
    lost : list of int
        One a round: increments that were made and are missing from the count, or pages or arrays that are missing or
        wrong.
    cpu, server : list of float
        One a round: seconds of CPU time that its workers took, and the server meanwhile; empty where not measured.
    unit, direction, array_bytes
        As `Cell` has them.
    """

    workload: str
    variant: str
    execution: str
    workers: int
    status: str
    reason: str | None = None
    exact: bool | None = None
    work: int | None = None
    seconds: list[float] = field(default_factory=list)
    rate: float | None = None
    speedup: Estimate | None = None
    startup: float | None = None
    break_even: int | None = None
    waited: list[float] = field(default_factory=list)
    clean: int = 0
    lost: list[int] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    server: list[float] = field(default_factory=list)
    unit: str = "increment"
    direction: str | None = None
    array_bytes: int | None = None

    @property
    def cell(self) -> Cell:
        """Which cell."""
        return Cell(
            self.workload,
            self.variant,
            self.execution,
            self.workers,
            unit=self.unit,
            direction=self.direction,
            array_bytes=self.array_bytes,
        )


def ratios(rounds: Sequence[Round], over: Cell, under: Cell) -> tuple[list[float], int]:
    """`over`'s seconds by `under`'s, one for each round that has both.

    Rounds in which one of the two was disturbed are set aside, as long as `LEAST_SAMPLES` others remain.

    Returns
    -------
    ratios : list of float
    clean : int
        How many rounds have both, undisturbed.
    """
    pairs = [(one[over], one[under]) for one in rounds if over in one and under in one and one[under].seconds > 0]
    clean = [pair for pair in pairs if not (pair[0].disturbed or pair[1].disturbed)]
    chosen = clean if len(clean) >= LEAST_SAMPLES else pairs
    return [first.seconds / second.seconds for first, second in chosen], len(clean)


def rate_ratios(rounds: Sequence[Round], work: Mapping[Cell, int], of: Cell, to: Cell) -> tuple[list[float], int]:
    """How many times as fast `of` is as `to`, one for each round that has both; as `ratios`, also of unequal work."""
    times, clean = ratios(rounds, to, of)
    return [time * (work[of] / work[to]) for time in times], clean


def analyse(
    cells: Sequence[Cell],
    rounds: Sequence[Round],
    *,
    work: Mapping[Cell, int],
    startup: Mapping[Cell, float],
    unmeasured: Mapping[Cell, tuple[str, str]],
    may_lose: Collection[str] = (),
    baseline: Callable[[Cell], Cell] = attrgetter("baseline"),
) -> list[CellResult]:
    """What the rounds say of each cell.

    Parameters
    ----------
    cells : sequence of Cell
        In the order of the result.
    rounds : sequence of dict
        The samples.
    work, startup : mapping
        Increments in one run, and seconds to start, of cells that have them.
    unmeasured : mapping of Cell to (status, reason)
        The cells that did not run, or not to the end.
    may_lose : collection of str
        Variants that do not fail by counts that are not exact.
    baseline : callable
        Which cell another's speedup is against.
    """
    results: list[CellResult] = []
    for cell in cells:
        samples = [one[cell] for one in rounds if cell in one]
        status, reason = unmeasured.get(
            cell, (MEASURED, None) if samples else (FAILED, "interrupted before its first run")
        )
        if not samples:
            results.append(CellResult(*cell.key, status, reason, **_kind(cell)))
            continue
        exact = all(sample.exact for sample in samples)
        if not exact and cell.variant not in may_lose:
            status, reason = FAILED, "the counts were not exact"
        size = work[cell]
        seconds = [sample.seconds for sample in samples]
        usual = float(np.median(seconds))
        rate = size / usual if size and usual > 0 else None
        speedups, clean = rate_ratios(rounds, work, cell, baseline(cell)) if size else ([], 0)
        speedup = estimate(speedups) if speedups else None
        results.append(
            CellResult(
                *cell.key,
                status,
                reason,
                exact,
                size,
                seconds,
                rate,
                speedup,
                startup.get(cell),
                _break_even(rate, speedup, startup.get(cell)),
                [sample.waited for sample in samples],
                clean,
                [sample.lost for sample in samples],
                [sample.cpu for sample in samples if sample.cpu is not None],
                [sample.server for sample in samples if sample.server is not None],
                **_kind(cell),
            )
        )
    return results


def _kind(cell: Cell) -> dict[str, Any]:
    return {"unit": cell.unit, "direction": cell.direction, "array_bytes": cell.array_bytes}


def _break_even(rate: float | None, speedup: Estimate | None, startup: float | None) -> int | None:
    """Where ``n / serial rate = startup + n / rate``."""
    if rate is None or speedup is None or startup is None or speedup.low <= 1:
        return None
    return int(startup * rate / (speedup.median - 1))
