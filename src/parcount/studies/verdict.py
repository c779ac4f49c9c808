"""The sentence that a study ends in, with the numbers it rests on.

Each claim is about one cell's speedup with `k` workers. Its gain is (speedup - 1) / (k - 1): 0 if more workers buy
nothing, 1 if each buys as much as the first. The whole interval must lie on one side of a limit; if it straddles one,
or other programs took cores away in too many rounds, the claim is undecided.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from parcount.studies.analysis import FAILED, MEASURED, CellResult, ratios
from parcount.studies.cells import Cell, Round
from parcount.studies.statistics import LEAST_SAMPLES, Estimate, estimate

PARALLEL, PARTLY, NOT_PARALLEL, UNDECIDED = "parallel", "partly parallel", "not parallel", "undecided"

GAIN_OF_PARALLEL = 0.7
GAIN_OF_NONE = 0.2

INTERRUPTED = "The study was interrupted: this rests on the rounds before that."

WIDE = "the times spread too widely"
"""Why a claim is undecided that more rounds may decide."""


@dataclass(frozen=True)
class Claim:
    """What was asked of one cell, and the answer.

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


def judge(result: CellResult) -> Claim:
    """What a cell's speedup shows.

    Examples
    --------
    >>> cell = CellResult("tally", "cython", "threads", 2, "measured", speedup=Estimate(1.97, 1.95, 1.99), clean=9)
    >>> judge(cell).answer
    'parallel'
    """
    claim = result.cell.key
    if result.status != MEASURED or result.speedup is None:
        return Claim(*claim, UNDECIDED, None, result.reason or "there was nothing to measure")
    if result.clean < LEAST_SAMPLES:
        few = len(result.seconds) < LEAST_SAMPLES
        because = "there were too few rounds" if few else "other programs, or the machine's host, had its cores"
        return Claim(*claim, UNDECIDED, result.speedup, because)
    answer = gain(result.speedup, result.workers)
    return Claim(*claim, answer, result.speedup, WIDE if answer == UNDECIDED else None)


def gain(speedup: Estimate, workers: float) -> str:
    """What so many times as many workers buy, if the whole interval says so.

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


def asked(results: Sequence[CellResult], available: int) -> list[CellResult]:
    """The cells that claims are about: of each workload, variant and execution, the most workers that have cores."""
    widest: dict[tuple[str, str, str], CellResult] = {}
    for result in results:
        if result.execution != "serial" and 2 <= result.workers <= available and result.status in (MEASURED, FAILED):
            key = (result.workload, result.variant, result.execution)
            if key not in widest or widest[key].workers < result.workers:
                widest[key] = result
    return list(widest.values())


def unclear(results: Sequence[CellResult], available: int) -> Collection[Cell]:
    """The cells that need more rounds: measured, and undecided."""
    return {
        result.cell
        for result in asked(results, available)
        if result.status == MEASURED and result.speedup is not None and judge(result).answer == UNDECIDED
    }


def reach(
    results: Sequence[CellResult],
    rounds: Sequence[Round],
    *,
    available: int,
    gil: bool,
    load: Sequence[str] = (),
    partial: bool = False,
) -> Verdict:
    """The verdict on a study.

    Parameters
    ----------
    results : sequence of CellResult
        All cells.
    rounds : sequence of dict
        Their samples, for comparisons between variants inside a round.
    available : int
        Cores that this process may use.
    gil : bool
        Whether this Python holds a GIL.
    load : sequence of str
        What else kept the machine busy, for people.
    partial : bool
        Whether the study was interrupted.
    """
    claims = [judge(result) for result in asked(results, available)]
    by_key = {(claim.workload, claim.variant, claim.execution): claim for claim in claims}
    of = {result.cell: result for result in results}
    workloads = list(dict.fromkeys(result.workload for result in results))
    comparisons = _comparisons(of, rounds)
    wrong = [result for result in results if result.exact is False]
    measured = [result for result in results if result.seconds]
    sentences: list[str] = []

    main = next((name for name in workloads if (name, "cython", "threads") in by_key), None)
    released = by_key.get((main, "cython", "threads")) if main else None
    held = by_key.get((main, "cython-gil", "threads")) if main else None
    if wrong:
        answer = "not exact"
        cells = ", ".join(str(result.cell) for result in wrong)
        sentences.append(f"WRONG COUNTS in {cells}: nothing else here can be trusted.")
    elif not measured or all(result.work == 0 for result in measured):
        answer = "not asked"
        sentences.append("There was nothing to count.")
    elif released is None:
        answer = "not asked"
        if available == 1:
            sentences.append(
                "One core is available here: nothing can run in parallel, and nothing is claimed about it."
            )
        else:
            sentences.append(
                "Whether releasing the GIL makes threads parallel was not asked: that takes the cython variant "
                f"under threads, with 2 to {available} workers."
            )
    else:
        answer, sentence = _on_the_gil(released, held, by_key.get((released.workload, "cython", "processes")), gil)
        sentences.append(sentence)

    for name in workloads:
        if not wrong:
            sentences.extend(_on_workload(name, claims, of, comparisons))
    sentences.extend(on_doubts(claims, load))
    if measured and not wrong:
        sentences.append(f"{every_run(measured, rounds)} gave the exact counts.")
    if partial:
        sentences.append(INTERRUPTED)
    return Verdict(answer, sentences, claims, comparisons)


def _on_the_gil(released: Claim, held: Claim | None, apart: Claim | None, gil: bool) -> tuple[str, str]:
    """The answer from the loop that releases the GIL, the one that holds it, and processes, which have one each."""
    numbers = f"the cython loop of {released.workload}, on {released.workers} threads, runs {released.speedup} as fast"
    control = f"; the same loop holding the GIL, {held.speedup}" if held and held.speedup else ""
    if released.answer == UNDECIDED or (held is not None and held.answer == UNDECIDED):
        return "undecided", f"Undecided whether releasing the GIL makes threads parallel here: {numbers}{control}."
    if released.answer != PARALLEL and apart is not None and apart.answer != PARALLEL:
        other = f"; on {apart.workers} processes, {apart.speedup}"
        return "undecided", (
            "Undecided: what limits the loop here is not the GIL, for processes, which have one each, do no better. "
            f"{upper(numbers)}{control}{other}."
        )
    if not gil:
        verb = "do" if released.answer == PARALLEL else "do not"
        return "no GIL", f"This Python has no GIL, and threads {verb} run in parallel: {numbers}{control}."
    if released.answer == PARALLEL and (held is None or held.answer == NOT_PARALLEL):
        return "yes", f"Yes: releasing the GIL makes threads truly parallel here. {upper(numbers)}{control}."
    if released.answer == PARALLEL:
        return "no", f"Threads are parallel here whether or not the loop releases the GIL: {numbers}{control}."
    if released.answer == PARTLY:
        answer = "Partly: releasing the GIL lets threads share the work, but not all of it."
        return "partly", f"{answer} {upper(numbers)}{control}."
    return "no", f"No: releasing the GIL does not make threads truly parallel here. {upper(numbers)}{control}."


def _on_workload(
    name: str, claims: Sequence[Claim], of: Mapping[Cell, CellResult], comparisons: Sequence[Comparison]
) -> list[str]:
    """A sentence for each way to have workers, one for compiled loops; of each what was decided."""
    sentences = []
    decided = [claim for claim in claims if claim.workload == name and claim.answer != UNDECIDED]
    for execution in ("threads", "processes", "interpreters"):
        if there := [claim for claim in decided if claim.execution == execution]:
            speeds = ", ".join(f"{claim.variant} {claim.speedup.median:.2f}×" for claim in there if claim.speedup)
            sentences.append(f"{name}, {there[0].workers} {execution} against serial: {speeds}.")
    even = []
    for claim in decided:
        start = of[Cell(name, claim.variant, claim.execution, claim.workers)].break_even
        if claim.execution == "processes" and start is not None:
            even.append(f"{claim.variant} {in_words(start)}")
    if even:
        sentences.append(
            f"{name}: processes started for one job pay from this many increments on, and cost more than they give "
            f"below: {', '.join(even)}."
        )
    for comparison in comparisons:
        if (comparison.workload, comparison.variant, comparison.against) == (name, "cython", "python"):
            times = f"{comparison.speedup.median:.0f}"
            sentences.append(f"{name}: compiled by Cython, the loop is {times} times as fast as in Python.")
    return sentences


def on_doubts(claims: Sequence[Claim], load: Sequence[str]) -> list[str]:
    """Sentences on what is undecided and why, and on what else kept the machine busy."""
    doubts: dict[str, dict[str, list[str]]] = {}
    for claim in claims:
        if claim.answer == UNDECIDED and claim.because:
            where = f"{claim.workload} on {claim.workers} {claim.execution}"
            doubts.setdefault(claim.because, {}).setdefault(where, []).append(claim.variant)
    sentences = []
    for because, places in doubts.items():
        cells = "; ".join(f"{where} ({', '.join(variants)})" for where, variants in places.items())
        sentences.append(f"Undecided, for {because}: {cells}.")
    if load:
        sentences.append(f"Meanwhile {'; '.join(load)}.{' Measure again on a quiet machine.' if doubts else ''}")
    return sentences


def _comparisons(of: Mapping[Cell, CellResult], rounds: Sequence[Round]) -> list[Comparison]:
    """Compiled against Python, and Numba's own threads against its serial loop: each ratio inside a round."""
    found = []
    for cell, result in of.items():
        if cell.variant == "cython" and cell.execution == "serial":
            against = Cell(cell.workload, "python", "serial", 1)
        elif cell.variant == "numba-parallel" and cell.execution == "threads":
            against = Cell(cell.workload, "numba", "serial", 1)
        else:
            continue
        other = of.get(against)
        if other is None or not result.work or not other.work:
            continue
        samples, _ = ratios(rounds, against, cell)
        if samples:
            scale = result.work / other.work
            found.append(Comparison(*cell.key, against.variant, estimate([scale * sample for sample in samples])))
    return found


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
