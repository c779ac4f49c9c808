"""The verdict on appending to one file: which way to take for which records and writers, and what others lose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from parcount.report.units import format_bytes, format_seconds, in_words
from parcount.studies.core.analysis import MEASURED, CellResult
from parcount.studies.core.claims import NOT_ASKED, UNDECIDED, Claim, Comparison, left_out
from parcount.studies.core.findings import Findings
from parcount.studies.journal.methods import (
    BUFFERED,
    FLUSHED,
    METHODS,
    PROCESS_QUEUE,
    PROCESSES,
    SYSTEM,
    THREAD_QUEUE,
    THREADS,
    WAYS,
)

FASTER = 1.05
"""How many times as many records a second a method appends that is called faster."""

USUAL_BYTES = 100
"""A line of a log: the size of records for which the ways are compared with other methods."""

RIVALS = (FLUSHED, PROCESS_QUEUE, THREAD_QUEUE)
"""The methods that a claim compares the fastest way with."""

WEAKNESSES = {
    BUFFERED: ", but a writer that is killed loses what is in its buffer",
    FLUSHED: ", but the file does not show which records are torn",
    SYSTEM: ", but the file does not show which records are torn",
}
"""What methods lack that can be faster."""

FAULTS = ("lost", "torn", "duplicated", "reordered")

Who = tuple[str, int]
"""An execution, and a number of writers."""

Rows = list[list[CellResult]]
"""For each size of records, from the smallest, the ways from the fastest to the slowest."""


def claims(found: Findings) -> list[Claim]:
    """Return the claims on the most processes: which way is the fastest for each size, and how others compare."""
    several = _ranked(found)
    if not several:
        return []
    execution, workers = who = next(iter(several))
    made = [_faster(found, best, other) for best, *others in several[who] for other in others]
    best = _usual(several[who])
    rivals = [
        one
        for one in found.results
        if (one.execution, one.workers, one.workload) == (execution, workers, best.workload)
        and one.variant in RIVALS
        and one.rate
    ]
    return made + [_faster(found, best, rival) for rival in rivals]


def conclude(found: Findings, claims: Sequence[Claim]) -> tuple[str, list[str]]:
    """Return the answer and the sentences, as `Experiment.conclude`."""
    ranked = _ranked(found)
    sentences = [*_on_losses(found.results), *left_out(found.results, lambda one: f"{one.variant} ({_writers(one)})")]
    if not ranked:
        why = "that takes several writers, two ways of the journal, and no cell that fails"
        return NOT_ASKED, [f"Which way to append was not asked: {why}.", *sentences]
    if all(claim.estimate is None for claim in claims):
        return UNDECIDED, ["Which way to append is undecided: there were too few rounds.", *sentences]
    decisive = next(iter(ranked))
    alike = [_variants(_fastest(found, row)) for row in ranked[decisive]]
    counts = {way: sum(way in names for names in alike) for way in WAYS}
    best, second = sorted(WAYS, key=lambda way: -counts[way])[:2]
    answer = UNDECIDED if counts[best] == counts[second] else best
    take = _advice(found, ranked[decisive])
    first = f"On this file system, for {_named(decisive)}, take {take}: no other way is measurably faster."
    return answer, [
        first,
        *_on_others(found, ranked, decisive),
        *_on_sizes(found, ranked[decisive]),
        *_on_doubts(found.results, claims),
        *_on_rivals(found, ranked[decisive]),
        *sentences,
    ]


def faults(result: CellResult) -> dict[str, int]:
    """Return how many records a cell has lost and so on, in all rounds; those of which there are none are left out."""
    counts = {"lost": sum(result.lost), **{name: round(sum(values)) for name, values in result.evidence.items()}}
    return {name: count for name in FAULTS if (count := counts.get(name, 0))}


def appended(result: CellResult) -> int:
    """Return the records that a cell appended in all rounds."""
    return (result.work or 0) * len(result.seconds)


def append_seconds(result: CellResult) -> float:
    """Return the median seconds from one append of a writer to its next."""
    return result.workers / (result.rate or 1.0)


def _ranked(found: Findings) -> dict[Who, Rows]:
    """Return the ways by who appends: processes before threads, and the most first; a single writer is the last."""
    rows: dict[Who, dict[int, list[CellResult]]] = {}
    for one in found.results:
        if one.variant in WAYS and one.status == MEASURED and one.rate:
            rows.setdefault((one.execution, one.workers), {}).setdefault(one.record_bytes or 0, []).append(one)
    order = (PROCESSES, THREADS, "serial")
    ranked = {}
    for who in sorted(rows, key=lambda who: (order.index(who[0]), -who[1])):
        several = [
            sorted(row, key=lambda one: -(one.rate or 0.0)) for _, row in sorted(rows[who].items()) if len(row) > 1
        ]
        if several:
            ranked[who] = several
    return {} if next(iter(ranked), ("serial", 1))[1] == 1 else ranked


def _faster(found: Findings, one: CellResult, other: CellResult) -> Claim:
    statement = f"{one.variant} is faster than {other.variant} for {one.workload} from {_writers(one)}"
    return found.faster(statement, one, other, FASTER)


def _usual(rows: Rows) -> CellResult:
    """Return the fastest way for records of about the usual size."""
    return min((row[0] for row in rows), key=lambda one: abs((one.record_bytes or 0) - USUAL_BYTES))


def _compare(found: Findings, one: CellResult, other: CellResult) -> Comparison | None:
    """Return how many times as fast one cell is: with the interval of a claim, if that compares the same cells."""
    return found.compare(one, other) or found.compare(one, other, decides=False)


def _fastest(found: Findings, row: Sequence[CellResult]) -> list[CellResult]:
    """Return the fastest, and those that are not measurably slower."""
    best, *others = row
    alike = [best]
    for other in others:
        compared = _compare(found, best, other)
        if compared is None or compared.speedup.exceeds(FASTER) is not True:
            alike.append(other)
    return alike


def _ranges(found: Findings, rows: Rows) -> Iterator[tuple[Rows, list[str]]]:
    """Yield neighbouring sizes, as many as have a way that is among the fastest at each of them, and these ways."""
    fastest = [_variants(_fastest(found, row)) for row in rows]
    start = 0
    while start < len(rows):
        common, stop = fastest[start], start + 1
        while stop < len(rows) and (still := [name for name in common if name in fastest[stop]]):
            common, stop = still, stop + 1
        yield rows[start:stop], common
        start = stop


def _advice(found: Findings, rows: Rows) -> str:
    """Which way to take for which sizes."""
    parts = []
    for some, common in _ranges(found, rows):
        first, last = _size(some[0][0]), _size(some[-1][0])
        if len(some) == len(rows):
            where = "for records of every size" if len(rows) > 1 else f"for records of {first}"
        elif some[0] is rows[0]:
            where = f"for records of up to {last}"
        elif some[-1] is rows[-1]:
            where = f"from {first} on"
        else:
            where = f"from {first} to {last}" if len(some) > 1 else f"for {first}"
        parts.append(f"{_list(common, 'or')} {where}")
    return "; ".join(parts)


def _on_others(found: Findings, ranked: Mapping[Who, Rows], decisive: Who) -> list[str]:
    """What the advice is for other numbers of writers."""
    usual = _advice(found, ranked[decisive])
    same: dict[str, list[str]] = {usual: []}
    for who, rows in ranked.items():
        if who != decisive:
            same.setdefault(_advice(found, rows), []).append(_named(who))
    return [
        f"The same for {_list(whos, 'and')}." if advice == usual else f"For {_list(whos, 'and')}, take {advice}."
        for advice, whos in same.items()
        if whos
    ]


def _on_sizes(found: Findings, rows: Rows) -> list[str]:
    """How fast the fastest way is at both ends of each range of sizes."""
    sentences = []
    for some, common in _ranges(found, rows):
        for row in (some[0], some[-1]) if len(some) > 1 else some:
            one = next(one for one in row if one.variant == common[0])
            others = [_times(found, one, other) for other in row if other is not one]
            pace = f"{one.variant} appends {in_words(round(one.rate or 0.0))} a second"
            each = f"each writer one in {format_seconds(append_seconds(one))}"
            sentences.append(f"{_records(one)}: {pace}, {each}. It is {_list(others, 'and')}.")
    return sentences


def _on_doubts(results: Sequence[CellResult], claims: Sequence[Claim]) -> list[str]:
    """For which sizes it is undecided which of two ways is faster."""
    cells = {str(one.cell): one for one in results}
    sizes: dict[str, list[str]] = {}
    for claim in claims:
        one, other = (cells[name] for name in claim.cells)
        if claim.holds is None and other.variant in WAYS:
            sizes.setdefault(f"{one.variant} is faster than {other.variant}", []).append(_size(one))
    return [f"It is undecided whether {what} for records of {_list(names, 'or')}." for what, names in sizes.items()]


def _on_rivals(found: Findings, rows: Rows) -> list[str]:
    """How the fastest way compares with other methods for records of the usual size."""
    best = _usual(rows)
    rivals = [
        one
        for one in found.results
        if (one.execution, one.workers, one.workload) == (best.execution, best.workers, best.workload)
        and one.variant not in WAYS
        and one.rate
    ]
    rivals.sort(key=lambda one: -(one.rate or 0.0))
    slower = [_times(found, best, one) for one in rivals if (one.rate or 0.0) <= (best.rate or 0.0)]
    sentences = [f"{_records(best)}: {best.variant} is {_list(slower, 'and')}."] if slower else []
    return sentences + [
        f"There {one.variant} is {_times(found, one, best)}{WEAKNESSES.get(one.variant, '')}."
        for one in rivals
        if (one.rate or 0.0) > (best.rate or 0.0)
    ]


def _on_losses(results: Sequence[CellResult]) -> list[str]:
    """What other methods lost, and that the ways of the journal lost nothing."""
    sentences = []
    innocent = 0
    for variant in dict.fromkeys(one.variant for one in results if one.seconds and not METHODS[one.variant].exact):
        cells = [one for one in results if one.variant == variant]
        if guilty := [one for one in cells if faults(one)]:
            worst = max(guilty, key=lambda one: sum(faults(one).values()) / appended(one))
            counts = ", ".join(f"{in_words(count)} {name}" for name, count in faults(worst).items())
            tries = f"of {in_words(appended(worst))} {worst.workload} from {_writers(worst)}"
            sentences.append(f"{variant} does not keep every record: {tries}, {counts}.")
        else:
            innocent += sum(map(appended, cells))
    if innocent:
        others = "Other methods" if sentences else "Methods that are not ours"
        sentences.append(f"{others} lost none of {in_words(innocent)}: an observation, and no guarantee.")
    ours = sum(appended(one) for one in results if METHODS[one.variant].exact)
    if ours:
        sentences.append(f"The journal lost, tore, duplicated and reordered none of {in_words(ours)} records.")
    return sentences


def _times(found: Findings, one: CellResult, other: CellResult) -> str:
    """How many times as fast a cell is as another, with the interval."""
    compared = _compare(found, one, other)
    ratio = compared.speedup if compared else f"{(one.rate or 0.0) / (other.rate or 1.0):.2g}×"
    return f"{ratio} as fast as {other.variant}"


def _records(result: CellResult) -> str:
    return f"R{result.workload[1:]} from {_writers(result)}"


def _variants(results: Sequence[CellResult]) -> list[str]:
    return [result.variant for result in results]


def _size(result: CellResult) -> str:
    return format_bytes(result.record_bytes or 0)


def _writers(result: CellResult) -> str:
    return _named((result.execution, result.workers))


def _named(who: Who) -> str:
    return f"{who[1]} {who[0]}" if who[1] > 1 else "one writer"


def _list(names: Sequence[str], word: str) -> str:
    *most, last = names
    return f"{', '.join(most)} {word} {last}" if most else last
