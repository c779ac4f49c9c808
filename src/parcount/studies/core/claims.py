"""Claims, and the verdict that rests on them.

A claim is about the speedup of one cell with `k` workers. Its gain is (speedup - 1) / (k - 1): 0 if more workers do not
help, 1 if each helps as much as the first. The whole interval must be on one side of a limit. Otherwise the claim is
undecided, as it is if other programs used the cores in too many rounds.

A study lists its possible answers as rules. `decide` takes the first rule that fits the claims, and words the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from parcount.studies.core.analysis import FAILED, MEASURED, CellResult
from parcount.studies.core.cells import Cell
from parcount.studies.core.statistics import LEAST_SAMPLES, Estimate

PARALLEL, PARTLY, NOT_PARALLEL, UNDECIDED = "parallel", "partly parallel", "not parallel", "undecided"

ABSENT = "absent"
"""Stands for the answer of a claim whose cell is not part of the study."""

NOT_ASKED = "not asked"
"""The answer of a study without the cells that it takes."""

GAIN_OF_PARALLEL = 0.7
GAIN_OF_NONE = 0.2

WIDE = "the times vary too much"
"""Why a claim is undecided that more rounds may decide."""


@dataclass(frozen=True)
class Claim:
    """A statement about the speedup of one cell.

    Attributes
    ----------
    answer : {"parallel", "partly parallel", "not parallel", "undecided"}
        What the speedup shows.
    because : str or None
        Why it is undecided.
    """

    workload: str
    variant: str
    execution: str
    workers: int
    answer: str
    speedup: Estimate | None
    because: str | None = None


@dataclass(frozen=True)
class Comparison:
    """The ratio of a cell's rate to another cell's, in the same rounds.

    `against` is the other cell's variant, or if that is the same, its execution and workers.
    """

    workload: str
    variant: str
    execution: str
    workers: int
    against: str
    speedup: Estimate


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
    """

    answer: str
    sentences: list[str] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)


@dataclass(frozen=True)
class Rule:
    """A possible answer of a study, its wording, and the values of the facts that it needs; see `decide`."""

    answer: str
    sentence: str
    needs: Mapping[str, Collection[object]] = field(default_factory=dict)


def decide(
    rules: Sequence[Rule],
    claims: Mapping[str, Claim | None],
    templates: Mapping[str, str],
    facts: Mapping[str, object],
    **texts: str,
) -> tuple[str, str]:
    """Return the answer of the first rule that fits, and its sentence.

    The facts are those given, and the answers of the claims by their names, `ABSENT` for None. `templates` words the
    claims, each called ``one``. The fields of the sentences are those given, ``numbers`` and ``Numbers``, which are the
    claims in words, and ``details``, the same after a colon, or nothing.

    Examples
    --------
    >>> rules = [Rule("yes", "They are{details}.", {"loop": {PARALLEL}}), Rule("no", "They are not.")]
    >>> claim = Claim("tally", "cython", "threads", 2, PARALLEL, Estimate(2.0, 1.9, 2.1))
    >>> decide(rules, {"loop": claim}, {"loop": "{one.workers} threads run {one.speedup} as fast"}, {})
    ('yes', 'They are: 2 threads run 2.00× [1.90–2.10] as fast.')
    """
    known = {**{name: claim.answer if claim else ABSENT for name, claim in claims.items()}, **facts}
    rule = next(rule for rule in rules if all(known[name] in values for name, values in rule.needs.items()))
    numbers = "; ".join(
        templates[name].format(one=one) if one.speedup else f"{one.variant} on {one.execution} has no speedup"
        for name, one in claims.items()
        if one is not None
    )
    details = f": {numbers}" if numbers else ""
    return rule.answer, rule.sentence.format(
        numbers=numbers, Numbers=numbers[:1].upper() + numbers[1:], details=details, **texts
    )


def classify(result: CellResult) -> Claim:
    """Return the claim about a cell's speedup.

    Examples
    --------
    >>> cell = CellResult("tally", "cython", "threads", 2, "measured", speedup=Estimate(1.97, 1.95, 1.99), clean=9)
    >>> classify(cell).answer
    'parallel'
    """
    answer, because = UNDECIDED, None
    if result.status != MEASURED or result.speedup is None:
        because = result.reason or "there was nothing to measure"
    elif len(result.seconds) < LEAST_SAMPLES and result.clean < LEAST_SAMPLES:
        because = "there were too few rounds"
    elif result.clean < LEAST_SAMPLES:
        because = "other programs or the virtual machine's host used the cores"
    else:
        answer = gain(result.speedup, result.workers)
        because = WIDE if answer == UNDECIDED else None
    return Claim(*result.cell.key, answer, result.speedup if result.status == MEASURED else None, because)


def gain(speedup: Estimate, workers: float) -> str:
    """Return what `workers` times as many workers gain, if the whole interval agrees.

    Examples
    --------
    >>> gain(Estimate(1.02, 1.01, 1.04), 2), gain(Estimate(1.02, 1.01, 1.4), 2)
    ('not parallel', 'undecided')
    """
    low, high = ((bound - 1) / (workers - 1) for bound in (speedup.low, speedup.high))
    if low >= GAIN_OF_PARALLEL:
        return PARALLEL
    if high <= GAIN_OF_NONE:
        return NOT_PARALLEL
    return PARTLY if low > GAIN_OF_NONE and high < GAIN_OF_PARALLEL else UNDECIDED


def claim_cells(results: Sequence[CellResult], available: int) -> list[CellResult]:
    """Return the cells that claims are about: of each workload, variant and execution, the most workers with cores."""
    widest: dict[tuple[str, str, str], CellResult] = {}
    for result in results:
        if result.execution != "serial" and 2 <= result.workers <= available and result.status in (MEASURED, FAILED):
            key = (result.workload, result.variant, result.execution)
            if key not in widest or widest[key].workers < result.workers:
                widest[key] = result
    return list(widest.values())


def undecided_cells(claimed: Sequence[CellResult]) -> set[Cell]:
    """Return those cells that need more rounds: measured, and undecided."""
    claims = {result.cell: classify(result) for result in claimed}
    return {cell for cell, claim in claims.items() if claim.answer == UNDECIDED and claim.speedup is not None}


def on_doubts(claims: Sequence[Claim]) -> list[str]:
    """Return a sentence for each reason why claims are undecided."""
    places: dict[tuple[str, str, str], list[str]] = {}
    for claim in claims:
        if claim.answer == UNDECIDED and claim.because:
            cell = claim.because, claim.workload, claim.variant
            places.setdefault(cell, []).append(f"{claim.workers} {claim.execution}")
    variants: dict[tuple[str, str, str], list[str]] = {}
    for (because, workload, variant), listed in places.items():
        variants.setdefault((because, workload, ", ".join(listed)), []).append(variant)
    cells: dict[str, list[str]] = {}
    for (because, workload, where), names in variants.items():
        cells.setdefault(because, []).append(f"{workload} ({', '.join(names)}) on {where}")
    return [f"Undecided, because {because}: {'; '.join(several)}." for because, several in cells.items()]


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
