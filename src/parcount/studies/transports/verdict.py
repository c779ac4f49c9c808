"""The verdict on transports: which gets arrays of which size to a worker and back the fastest."""

from __future__ import annotations

from collections.abc import Sequence

from parcount.execution.processes.transports import TRANSPORTS
from parcount.report.units import BYTES, format_bytes, format_seconds
from parcount.studies.core.analysis import MEASURED, CellResult
from parcount.studies.core.claims import NOT_ASKED, UNDECIDED, Claim, left_out
from parcount.studies.core.findings import Findings

THERE, BACK = "there", "back"

INTEGER = "an integer"
"""The workload of the smallest message, which goes there and back."""

SHARED, MAPPED = "shared array", "mapped file"
METHODS = (*TRANSPORTS, SHARED, MAPPED)
"""The transports, and two methods that need none, because the worker sees the array."""

ALONE = "work alone"
"""The variant without a transport: this process makes and reads the array."""

DIRECTIONS = {THERE: "to the worker", BACK: "from the worker"}
WORK = {THERE: "reading it", BACK: "making and reading it"}
BY_NAME = {SHARED: "A shared array", MAPPED: "A memory-mapped file"}

FASTER = 1.05
"""How many times as fast a method is that is called measurably faster."""

CASES = "cases (sizes and directions)"


def claims(found: Findings) -> list[Claim]:
    """Return, for each workload, the claims that the fastest transport is faster than the others."""
    return [
        found.faster(f"{best.variant} is faster than {other.variant} for {workload}", best, other, FASTER)
        for workload, (best, *others) in _rank(found.results).items()
        for other in others
    ]


def conclude(found: Findings, claims: Sequence[Claim]) -> tuple[str, list[str]]:  # noqa: ARG001 - compared below
    """Return the answer and the sentences, as `Experiment.conclude`."""
    ranked = _rank(found.results)
    rows = {
        direction: [others for others in ranked.values() if others[0].direction == direction]
        for direction in DIRECTIONS
    }
    answer, sentence = _answer(found, [row for several in rows.values() for row in several])
    sentences = [sentence]
    if found.comparisons:
        sentences += _on_integers(found, ranked.get(INTEGER, []))
        for several in rows.values():
            sentences += _on_sizes(found, several)
        for method in BY_NAME:
            sentences += _on_no_copy(found, method, ranked)
        sentences += _on_the_work([row[-1][0] for row in rows.values() if row])
    reasons = left_out(found.results, lambda one: f"{one.workload} ({one.variant})")
    return answer, [*sentences, *(f"Left out: {reason}" for reason in reasons)]


def _rank(results: Sequence[CellResult]) -> dict[str, list[CellResult]]:
    """Return the transports of each workload that has two or more, from the fastest to the slowest."""
    ranked: dict[str, list[CellResult]] = {}
    for result in results:
        if result.variant in TRANSPORTS and result.status == MEASURED and result.rate:
            ranked.setdefault(result.workload, []).append(result)
    return {
        workload: sorted(several, key=lambda one: -(one.rate or 0.0))
        for workload, several in ranked.items()
        if len(several) > 1
    }


def trip_time(result: CellResult) -> float | None:
    """Return the median seconds of one trip; None if it was not measured."""
    return (result.array_bytes or 1) / result.rate if result.rate else None


def pace(result: CellResult) -> str:
    """Return the time of a trip, of large arrays the bytes per second; nothing if it was not measured."""
    if not result.rate:
        return ""
    return _time(result) if (result.array_bytes or 0) < BYTES["MB"] else f"{format_bytes(result.rate)}/s"


def _answer(found: Findings, rows: Sequence[Sequence[CellResult]]) -> tuple[str, str]:
    """The transport that is among the fastest in most rows."""
    if not rows:
        return NOT_ASKED, "Which transport to choose was not asked. That takes two of them, and no cell that fails."
    alike = [_variants(_fastest(found, row)) for row in rows]
    if not found.comparisons:
        return UNDECIDED, "Which transport to choose is undecided: there were too few rounds."
    counts = {name: sum(name in names for names in alike) for name in TRANSPORTS}
    best, *others = sorted((name for name in counts if counts[name]), key=lambda name: -counts[name])
    cases = f"in {counts[best]} of {len(rows)} {CASES}, no other is measurably faster"
    equal = [name for name in (best, *others) if counts[name] == counts[best]]
    if len(equal) > 1:
        return UNDECIDED, f"Which transport to choose is undecided: for each of {_list(equal, 'and')}, {cases}."
    counted = f"; the same holds for {', '.join(f'{name} in {counts[name]}' for name in others)}" if others else ""
    return best, f"The transport to choose is {best}: {cases}{counted}."


def _on_integers(found: Findings, ranked: Sequence[CellResult]) -> list[str]:
    if not ranked:
        return []
    times = ", ".join(f"{_time(one)} by {one.variant}" for one in ranked)
    best, *alike = _fastest(found, ranked)
    speeds = f"{best.variant} is {_against(found, best, alike, ranked)}"
    if alike:
        speeds = f"which of {_list(_variants([best, *alike]), 'and')} is the fastest is undecided ({speeds})"
    return [f"An integer takes {times} to a worker and back: {speeds}."]


def _on_sizes(found: Findings, rows: Sequence[Sequence[CellResult]]) -> list[str]:
    """A sentence for each range of sizes with the same fastest transports."""
    fastest = [_variants(_fastest(found, row)) for row in rows]
    sentences = []
    start = 0
    while start < len(rows):
        common, stop = fastest[start], start + 1
        while stop < len(rows):
            still = [name for name in common if name in fastest[stop]]
            # One that is the fastest alone, and several that are alike, need different sentences.
            alone = len(common) == len(fastest[stop]) == 1
            if not still or alone != (len(still) == 1):
                break
            common, stop = still, stop + 1
        sentences.append(_on_range(found, rows[start:stop], common))
        start = stop
    return sentences


def _on_range(found: Findings, rows: Sequence[Sequence[CellResult]], common: Sequence[str]) -> str:
    """Sizes with the same fastest transports: which, and by how much at the largest size."""
    last = rows[-1]
    smallest, largest = _size(rows[0][0]), _size(last[0])
    sizes = f"From {smallest} to {largest}" if smallest != largest else f"At {largest}"
    at = f"at {largest} " if smallest != largest else ""
    best, *alike = [one for one in last if one.variant in common]
    speeds = _against(found, best, alike, last)
    where = DIRECTIONS[best.direction or THERE]
    if alike:
        which = _list(common, "or")
        return f"{sizes}, it is undecided whether {which} is the fastest {where}: {at}{best.variant} is {speeds}."
    return f"{sizes}, {best.variant} is the fastest {where}: {at}{pace(best)}, {speeds}."


def _against(found: Findings, one: CellResult, alike: Sequence[CellResult], ranked: Sequence[CellResult]) -> str:
    """How fast a transport is relative to the next that is alike, and the next that is slower."""
    slower = [other for other in ranked if other not in _fastest(found, ranked)]
    speeds = []
    for other in (*alike[:1], *slower[:1]):
        compared = found.compare(one, other)
        fast = f"{compared.speedup} as fast as" if compared else "not measurably different from"
        speeds.append(f"{fast} {other.variant}")
    return " and ".join(speeds)


def _on_no_copy(found: Findings, method: str, ranked: dict[str, list[CellResult]]) -> list[str]:
    """From which size on an array that is sent by name arrives before any that is copied."""
    pairs = [
        (one, ranked[one.workload][0])
        for one in found.results
        if one.variant == method and one.status == MEASURED and one.rate and one.workload in ranked
    ]
    if not pairs:
        return []
    compared = [found.compare(one, best, decides=False) for one, best in pairs]
    wins = 0
    while wins < len(pairs) and (its := compared[-1 - wins]) is not None and its.speedup.exceeds(FASTER):
        wins += 1
    one, best = pairs[-1]
    last = compared[-1]
    at = f"at {_size(one)} it is {last.speedup if last else 'not measurably'}"
    if not wins:
        how = f"{at} as fast" if last else f"{at} different"
        return [f"{BY_NAME[method]}, which is sent by name, is not decidedly faster than {best.variant}: {how}."]
    where = "at every size" if wins == len(pairs) else f"from {_size(pairs[-wins][0])} on"
    text = f"{BY_NAME[method]}, which is sent by name, is faster than any copy {where}: {at} as fast as {best.variant}"
    if one.speedup is not None:
        text += f", and reading is {_percent(one.speedup.median)} of its {_time(one)}"
    return [f"{text}."]


def _on_the_work(largest: Sequence[CellResult]) -> list[str]:
    """How much of the time is not the transport's."""
    return [
        f"An array of {_size(best)} takes {_time(best)} {DIRECTIONS[best.direction or THERE]} by {best.variant}; "
        f"{WORK[best.direction or THERE]} alone takes {_percent(best.speedup.median)} of that."
        for best in largest
        if best.speedup is not None
    ]


def _is_faster(found: Findings, over: CellResult, under: CellResult) -> bool:
    compared = found.compare(over, under)
    return compared is not None and compared.speedup.exceeds(FASTER) is True


def _fastest(found: Findings, ranked: Sequence[CellResult]) -> list[CellResult]:
    """The fastest, and those that are not measurably slower."""
    best, *others = ranked
    return [best, *(other for other in others if not _is_faster(found, best, other))]


def _variants(results: Sequence[CellResult]) -> list[str]:
    return [result.variant for result in results]


def _size(result: CellResult) -> str:
    return format_bytes(result.array_bytes or 0)


def _time(result: CellResult) -> str:
    return format_seconds(trip_time(result) or 0.0)


def _percent(share: float) -> str:
    return f"{100 * min(1.0, share):.0f} %"


def _list(names: Sequence[str], word: str) -> str:
    *most, last = names
    return f"{', '.join(most)} {word} {last}" if most else last
