"""Claims, and the verdict that rests on them.

A claim states that a quantity is above a bound: a speedup, a ratio of speeds, or the parallel share of the work. The
quantity is computed in each round, and its median has an interval that stays valid however often one looks. The claim
holds if the whole interval is above the bound. It does not hold if the whole interval is below. Otherwise it is
undecided, and more rounds may decide it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from parcount.studies.core.analysis import MEASURED, CellResult
from parcount.studies.core.statistics import Estimate, median_sequence, significant

UNDECIDED = "undecided"

NOT_ASKED = "not asked"
"""The answer of a study without the cells that it takes."""

ERROR = 0.0025
"""Probability that the interval of a claim ever misses the true median. At most four claims decide an answer, which is
thus wrong in at most 1 % of all studies."""

SHARE = "parallel share"
"""The quantity that is told in percent."""

LARGEST = 10.0
"""Bound of what is known of a parallel share: result files have no infinite numbers."""


@dataclass(frozen=True)
class Claim:
    """A statement that a quantity is above a bound.

    Attributes
    ----------
    statement : str
        What is claimed, such as "releasing the GIL pays".
    cells : list of str
        The cells that it is about, each as workload/variant/execution/workers.
    quantity : {"speedup", "ratio", "parallel share"}
        The speedup of the first cell; that of the first cell divided by that of the second; or the share of the first
        cell's work that would be parallel if the second cell's is all parallel, by Amdahl's law.
    bound : float
        What the quantity is compared with.
    estimate : Estimate or None
        The median over rounds, with an interval that misses the true one with a probability of at most `ERROR`, in
        `scale` of 2 %; None if there were too few rounds.
    holds : bool or None
        Whether the claim is true; None if that is undecided.
    samples : list of float
        The quantity in each round. Where only a range is known of it, the middle of the range.
    """

    statement: str
    cells: list[str]
    quantity: str
    bound: float
    estimate: Estimate | None
    holds: bool | None
    samples: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Comparison:
    """The ratio of a cell's rate to another cell's, in the same rounds, with an interval as that of a claim.

    `against` is the other cell's variant, or if that is the same, its execution and workers.
    """

    workload: str
    variant: str
    execution: str
    workers: int
    against: str
    speedup: Estimate


@dataclass(frozen=True)
class Cause:
    """Why more workers do not do more, or that they do.

    Attributes
    ----------
    cause : str
        As ``docs/result-file.md`` lists them.
    variant : str
        Of which Python.
    share : float or None
        Of the time that is lost, which share is its; None if it is not known, or nothing is lost.
    evidence : dict of str to float
        The numbers that it rests on.
    sentence : str
        The same as text.
    advice : str
        What to do next; empty if nothing.
    """

    cause: str
    variant: str
    share: float | None
    evidence: dict[str, float]
    sentence: str
    advice: str = ""


@dataclass(frozen=True)
class Verdict:
    """What a study found.

    Attributes
    ----------
    answer : str
        To the question of the study, as ``docs/result-file.md`` lists them; "not exact" if any result was wrong, "not
        asked" if the necessary cells were not in the study.
    sentences : list of str
        The verdict as text.
    claims : list of Claim
        What it rests on.
    comparisons : list of Comparison
        Ratios of other pairs of cells.
    causes : list of Cause
        Of a study that asks for them, the strongest first; those of the first Python before others.
    fits : list of dict
        Laws that were fitted to the throughput at several numbers of workers.
    """

    answer: str
    sentences: list[str] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    causes: list[Cause] = field(default_factory=list)
    fits: list[dict[str, Any]] = field(default_factory=list)


def make_claim(
    statement: str,
    cells: Sequence[CellResult],
    quantity: str,
    bound: float,
    samples: Sequence[float],
    upper: Sequence[float] | None = None,
    *,
    error: float = ERROR,
) -> Claim:
    """Return a claim on the median of samples, one for each round.

    `error` is the probability that its interval ever misses the true median.

    A sample that is only known to be in a range has its lower end in `samples` and its upper end in `upper`.

    Examples
    --------
    >>> cell = CellResult("tally", "cython", "threads", 2, "measured")
    >>> make_claim("threads pay", [cell], "speedup", 1.1, [1.9, 1.8, 2.0] * 5).holds
    True
    """
    upper = samples if upper is None else upper
    least, most = median_sequence(samples, error), median_sequence(upper, error)
    estimate = None
    if least is not None and most is not None:
        estimate = Estimate((least.median + most.median) / 2, least.low, most.high)
    holds = None if estimate is None else estimate.exceeds(bound)
    middle = [significant((low + high) / 2) for low, high in zip(samples, upper, strict=True)]
    return Claim(statement, [str(cell.cell) for cell in cells], quantity, bound, estimate, holds, middle)


def parallel_share(speedup: float, possible: float) -> tuple[float, float]:
    """Return which share of some work is parallel, by Amdahl's law: its least and its greatest value.

    Parameters
    ----------
    speedup : float
        Of the work.
    possible : float
        The speedup of work that is all parallel. If it is not above 1, nothing is known about the share.

    Examples
    --------
    >>> parallel_share(1.6, 4.0)
    (0.5, 0.5)
    >>> parallel_share(1.6, 1.0)
    (-10.0, 10.0)
    """
    if possible <= 1:
        return -LARGEST, LARGEST
    share = (1 - 1 / speedup) / (1 - 1 / possible)
    return share, share


def on_doubts(claims: Sequence[Claim]) -> list[str]:
    """Return a sentence for each claim that is undecided."""
    sentences = []
    for claim in claims:
        if claim.holds is None:
            why = "there were too few rounds"
            if claim.estimate is not None:
                limit = f"{claim.bound:.0%}".replace("%", " %") if claim.quantity == SHARE else f"{claim.bound:g}"
                found = claim.estimate.percent if claim.quantity == SHARE else claim.estimate
                why = f"the {claim.quantity} is {found}, and the limit is {limit}"
            sentences.append(f"Undecided whether {claim.statement}: {why}.")
    return sentences


def left_out(
    results: Sequence[CellResult],
    label: Callable[[CellResult], str],
    where: Callable[[CellResult], str] = lambda _: "",
) -> list[str]:
    """Return a sentence for each reason why cells were not measured, with the labels of these cells."""
    labels: dict[str, dict[str, None]] = {}
    for result in results:
        if result.status != MEASURED:
            reason = f"{where(result)}: {result.status}: {result.reason}."
            labels.setdefault(reason, {})[label(result)] = None
    return [f"{'; '.join(cells)}{reason}" for reason, cells in labels.items()]
