"""Claims: what a cell's speedup shows, and the verdict that rests on claims.

Each claim is about one cell's speedup with `k` workers. Its gain is (speedup - 1) / (k - 1): 0 if more workers buy
nothing, 1 if each buys as much as the first. The whole interval must lie on one side of a limit; if it straddles one,
or other programs took cores away in too many rounds, the claim is undecided.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from parcount.studies.core.analysis import FAILED, MEASURED, CellResult
from parcount.studies.core.cells import Cell, Round
from parcount.studies.core.statistics import LEAST_SAMPLES, Estimate

PARALLEL, PARTLY, NOT_PARALLEL, UNDECIDED = "parallel", "partly parallel", "not parallel", "undecided"

GAIN_OF_PARALLEL = 0.7
GAIN_OF_NONE = 0.2

INTERRUPTED = "The study was interrupted. The verdict rests on the rounds before that."

WIDE = "the times vary too much"
"""Why a claim is undecided that more rounds may decide."""


@dataclass(frozen=True)
class Claim:
    """A statement about the speedup of one cell, with its answer.

    Attributes
    ----------
    workload, variant, execution, workers
        The cell.
    answer : {"parallel", "partly parallel", "not parallel", "undecided"}
        What its speedup shows.
    speedup : Estimate or None
        The number that it rests on.
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
    """How fast a cell is against another variant's serial cell, in the same rounds.

    Attributes
    ----------
    workload, variant, execution, workers
        The cell.
    against : str
        The other variant.
    speedup : Estimate
        Ratio of their increments per second.
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
        To "does releasing the GIL make threads truly parallel here?": "yes", "partly", "no", "undecided"; "no GIL" on
        a Python that has none. To "does counting without a lock lose counts?": "lost" or "none lost". "not exact" if
        any count was wrong; "not asked" if the cells for it were not in the study.
    sentences : list of str
        In plain words.
    claims : list of Claim
        What they rest on.
    comparisons : list of Comparison
        Speeds of one variant against another's.
    """

    answer: str
    sentences: list[str] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)


def classify(result: CellResult) -> Claim:
    """Return the claim about a cell's speedup.

    Examples
    --------
    >>> cell = CellResult("tally", "cython", "threads", 2, "measured", speedup=Estimate(1.97, 1.95, 1.99), clean=9)
    >>> classify(cell).answer
    'parallel'
    """
    claim = result.cell.key
    if result.status != MEASURED or result.speedup is None:
        return Claim(*claim, UNDECIDED, None, result.reason or "there was nothing to measure")
    if result.clean < LEAST_SAMPLES:
        few = len(result.seconds) < LEAST_SAMPLES
        because = "there were too few rounds" if few else "other programs or the virtual machine's host used the cores"
        return Claim(*claim, UNDECIDED, result.speedup, because)
    answer = gain(result.speedup, result.workers)
    return Claim(*claim, answer, result.speedup, WIDE if answer == UNDECIDED else None)


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
    """The cells that claims are about: of each workload, variant and execution, the most workers that have cores."""
    widest: dict[tuple[str, str, str], CellResult] = {}
    for result in results:
        if result.execution != "serial" and 2 <= result.workers <= available and result.status in (MEASURED, FAILED):
            key = (result.workload, result.variant, result.execution)
            if key not in widest or widest[key].workers < result.workers:
                widest[key] = result
    return list(widest.values())


def undecided_cells(results: Sequence[CellResult], available: int) -> Collection[Cell]:
    """The cells that need more rounds: measured, and undecided."""
    return {
        result.cell
        for result in claim_cells(results, available)
        if result.status == MEASURED and result.speedup is not None and classify(result).answer == UNDECIDED
    }


def on_doubts(claims: Sequence[Claim]) -> list[str]:
    """Return a sentence for each reason why claims are undecided."""
    doubts: dict[str, dict[str, list[str]]] = {}
    for claim in claims:
        if claim.answer == UNDECIDED and claim.because:
            where = f"{claim.workload} on {claim.workers} {claim.execution}"
            doubts.setdefault(claim.because, {}).setdefault(where, []).append(claim.variant)
    sentences = []
    for because, places in doubts.items():
        cells = "; ".join(f"{where} ({', '.join(variants)})" for where, variants in places.items())
        sentences.append(f"Undecided, because {because}: {cells}.")
    return sentences


def upper(text: str) -> str:
    """A clause that begins a sentence."""
    return text[0].upper() + text[1:]


def every_run(measured: Sequence[CellResult], rounds: Sequence[Round]) -> str:
    """What a sentence on all runs begins with."""
    counted = len([one for one in rounds if one])
    cells = f"{len(measured)} cell{'s' if len(measured) > 1 else ''}"
    return f"Every run of {cells} in {counted} round{'s' if counted > 1 else ''}"


def in_words(n: int) -> str:
    """Two digits of a large number: no more is known.

    Examples
    --------
    >>> in_words(1_234_567), in_words(950), in_words(640_000_000)
    ('1.2 million', '950', '640 million')
    """
    for size, word in ((10**9, "billion"), (10**6, "million"), (10**3, "thousand")):
        if n >= size:
            return f"{n / size:.1f} {word}" if n < 10 * size else f"{float(f'{n / size:.2g}'):.0f} {word}"
    return str(n)
