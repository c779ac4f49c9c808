"""The sentence that a study ends in, with the numbers it rests on.

Each claim is about one cell's speedup with `k` workers. Its gain is (speedup - 1) / (k - 1): 0 if more workers buy
nothing, 1 if each buys as much as the first. The whole interval must lie on one side of a limit; if it straddles one,
or other programs took cores away in too many rounds, the claim is undecided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from parcount.studies.core.analysis import CellResult, ratios
from parcount.studies.core.cells import Cell, Round
from parcount.studies.core.claims import (
    NOT_PARALLEL,
    PARALLEL,
    PARTLY,
    UNDECIDED,
    Claim,
    Comparison,
    Verdict,
    claim_cells,
    classify,
    in_words,
    on_doubts,
    upper,
)
from parcount.studies.core.statistics import estimate


def conclude(results: Sequence[CellResult], rounds: Sequence[Round], *, available: int, gil: bool) -> Verdict:
    """Return the verdict, as `Experiment.conclude`."""
    claims = [classify(result) for result in claim_cells(results, available)]
    by_key = {(claim.workload, claim.variant, claim.execution): claim for claim in claims}
    of = {result.cell: result for result in results}
    workloads = list(dict.fromkeys(result.workload for result in results))
    comparisons = _comparisons(of, rounds)
    measured = [result for result in results if result.seconds]

    main = next((name for name in workloads if (name, "cython", "threads") in by_key), None)
    released = by_key.get((main, "cython", "threads")) if main else None
    held = by_key.get((main, "cython-gil", "threads")) if main else None
    answer = "not asked"
    if not measured or all(result.work == 0 for result in measured):
        sentence = "There was nothing to count."
    elif released is None and available == 1:
        sentence = "One core is available here. Nothing can run in parallel, and nothing is claimed about it."
    elif released is None:
        sentence = (
            "Whether releasing the GIL makes threads parallel was not asked. That takes the cython variant with "
            f"threads, and 2 to {available} workers."
        )
    else:
        answer, sentence = _on_the_gil(released, held, by_key.get((released.workload, "cython", "processes")), gil)
    sentences = [sentence]
    for name in workloads:
        sentences.extend(_on_workload(name, claims, of, comparisons))
    sentences.extend(on_doubts(claims))
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
            "Undecided: something other than the GIL limits the loop here, because processes, each with its own GIL, "
            "do no better. "
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
            f"{name}: starting processes for one job pays from this number of increments on: {', '.join(even)}."
        )
    for comparison in comparisons:
        if (comparison.workload, comparison.variant, comparison.against) == (name, "cython", "python"):
            times = f"{comparison.speedup.median:.0f}"
            sentences.append(f"{name}: compiled by Cython, the loop is {times} times as fast as in Python.")
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
