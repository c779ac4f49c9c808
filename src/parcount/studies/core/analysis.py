"""From samples to results."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from operator import attrgetter

import numpy as np

from parcount.studies.core.cells import DISTURBED, Cell, Round
from parcount.studies.core.statistics import Estimate, estimate, significant

MEASURED = "measured"
NOT_INSTALLED = "not installed"
NOT_SUPPORTED = "not supported"
FAILED = "failed"
INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class CellResult(Cell):
    """What a study knows of one cell. Lists have one value per round.

    Attributes
    ----------
    status : {"measured", "not installed", "not supported", "failed", "interrupted"}
        Whether it ran.
    reason : str or None
        Why it did not.
    exact : bool or None
        Whether the result of every run was right; None if it never ran.
    work : int or None
        Units of work in one run.
    seconds, waited, lost, cpu, server : list
        As in `Sample`; the last two are empty where not measured.
    evidence : dict of str to list
        As in `Sample`.
    rate : float or None
        Units of work per second, median.
    speedup : Estimate or None
        Ratio of the rate to that of its baseline in the same round.
    ratios : list
        The ratios of which `speedup` is the median: one for each round that has both cells.
    startup : float or None
        Seconds by which the first result of new workers is later than one of running workers.
    break_even : int or None
        Increments from which this cell, its start-up included, is faster than the serial one; None if never.
    """

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
    lost: list[int] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    server: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    evidence: dict[str, list[float]] = field(default_factory=dict)

    @property
    def disturbed(self) -> bool:
        """Whether its workers waited too long for a core in more than a third of the rounds."""
        return 3 * sum(waited > DISTURBED for waited in self.waited) > len(self.waited)


def rate_ratios(rounds: Sequence[Round], work: Mapping[Cell, int], of: Cell, to: Cell) -> list[float]:
    """Return the ratio of two cells' rates in each round that has both; none if there was nothing to do."""
    if not (work[of] and work[to]):
        return []
    pairs = [(one[of].seconds, one[to].seconds) for one in rounds if of in one and to in one]
    return [other / seconds * (work[of] / work[to]) for seconds, other in pairs]


def analyse(
    cells: Sequence[Cell],
    rounds: Sequence[Round],
    *,
    work: Mapping[Cell, int],
    startup: Mapping[Cell, float],
    unmeasured: Mapping[Cell, tuple[str, str]],
    may_lose: Collection[str] = (),
    baseline: Callable[[Cell], Cell] = attrgetter("baseline"),
    intervals: bool = True,
) -> list[CellResult]:
    """Return the result of each cell from the samples of all rounds.

    `work` and `startup` have the units of work in one run and the seconds to start, `unmeasured` the status and reason
    of cells that did not run, or not to the end, and `may_lose` the variants whose counts may be wrong. The speedup of
    a cell is relative to its `baseline`. Without `intervals` there are no speedups, which take most of the time.
    """
    results: list[CellResult] = []
    for cell in cells:
        samples = [one[cell] for one in rounds if cell in one]
        never = (INTERRUPTED, "the study was interrupted before its first run")
        status, reason = unmeasured.get(cell, (MEASURED, None) if samples else never)
        result = CellResult(**asdict(cell), status=status, reason=reason)
        if samples:
            exact = all(sample.exact for sample in samples)
            if not exact and cell.variant not in may_lose:
                result = replace(result, status=FAILED, reason="the counts were not exact")
            size = work[cell]
            seconds = [sample.seconds for sample in samples]
            usual = float(np.median(seconds))
            rate = size / usual if size and usual > 0 else None
            speedups = rate_ratios(rounds, work, cell, baseline(cell)) if intervals else []
            speedup = estimate(speedups) if speedups else None
            result = replace(
                result,
                exact=exact,
                work=size,
                seconds=[round(value, 9) for value in seconds],  # clocks have no more digits
                rate=rate,
                speedup=speedup,
                startup=startup.get(cell),
                break_even=_break_even(rate, speedup, startup.get(cell)),
                waited=[round(sample.waited, 4) for sample in samples],
                lost=[sample.lost for sample in samples],
                cpu=[sample.cpu for sample in samples if sample.cpu is not None],
                server=[sample.server for sample in samples if sample.server is not None],
                ratios=[significant(ratio) for ratio in speedups],
                evidence={
                    name: [significant(sample.evidence[name]) for sample in samples if name in sample.evidence]
                    for name in dict.fromkeys(name for sample in samples for name in sample.evidence)
                },
            )
        results.append(result)
    return results


def _break_even(rate: float | None, speedup: Estimate | None, startup: float | None) -> int | None:
    """Where ``n / serial rate = startup + n / rate``."""
    if rate is None or speedup is None or startup is None or speedup.low <= 1:
        return None
    return int(startup * rate / (speedup.median - 1))
