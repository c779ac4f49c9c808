"""Which transport gets arrays of which size there and back the fastest, in sentences."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from parcount.execution.processes.transports import TRANSPORTS
from parcount.studies.core.analysis import MEASURED, CellResult, rate_ratios
from parcount.studies.core.cells import Cell, Round
from parcount.studies.core.claims import UNDECIDED, Comparison, Verdict
from parcount.studies.core.statistics import LEAST_SAMPLES, estimate
from parcount.studies.transports.units import MB, format_bytes, format_seconds, format_speed

THERE, BACK = "there", "back"

INTEGER = "an integer"
"""The workload of the smallest message, which goes there and back."""

SHARED, MAPPED = "shared array", "mapped file"
METHODS = (*TRANSPORTS, SHARED, MAPPED)
"""The transports, and two that need none: an array that the worker can see."""

ALONE = "work alone"
"""The variant without a transport: the array is made and read by this process."""

ARRIVE = {THERE: "get there", BACK: "come back"}
DOES = {THERE: "reading it", BACK: "making and reading it"}
LIES = {
    SHARED: "An array in pc.shared_array, of which only the name travels,",
    MAPPED: "An array in a memory-mapped file, of which only the name travels,",
}


def conclude(
    results: Sequence[CellResult],
    rounds: Sequence[Round],
    *,
    available: int,  # noqa: ARG001 - one worker at a time
    gil: bool,  # noqa: ARG001 - each process has its own
) -> Verdict:
    """Return the verdict, as `Experiment.conclude`."""
    found = _Found(results, rounds)
    answer, sentence = _answer(found)
    sentences = [sentence]
    if found.comparisons:
        sentences += _on_integers(found)
        for direction in (THERE, BACK):
            sentences += _on_sizes(found, direction)
        for method in (SHARED, MAPPED):
            sentences += _on_no_copy(found, method)
        sentences += _on_the_work(found)
        if found.disturbed:
            sentences.append("Other programs used the cores in too many rounds. What rests on these is undecided.")
    sentences += _on_what_is_left_out(results)
    return Verdict(answer, sentences, [], list(found.comparisons.values()))


def undecided_cells(results: Sequence[CellResult], available: int) -> Collection[Cell]:  # noqa: ARG001 - one worker at a time
    """The transports of each workload that cannot be told from its fastest, by what they are against the work alone."""
    chosen: set[Cell] = set()
    for ranked in _ranked(results).values():
        first, *others = ranked
        close = [
            other.cell
            for other in others
            if first.speedup is not None and other.speedup is not None and other.speedup.high >= first.speedup.low
        ]
        if close:
            chosen |= {first.cell, *close}
    return chosen


def trip_time(result: CellResult) -> float | None:
    """Seconds that one trip takes, median; None if it was not measured."""
    if not result.rate:
        return None
    return (result.array_bytes or 1) / result.rate


def pace(result: CellResult) -> str:
    """The time of a trip; of large arrays the bytes a second; nothing if it was not measured."""
    seconds = trip_time(result)
    if seconds is None or result.rate is None:
        return ""
    return format_seconds(seconds) if (result.array_bytes or 0) < MB else format_speed(result.rate)


@dataclass(frozen=True)
class _Row:
    """The transports of arrays of one size, in one direction.

    Attributes
    ----------
    size : int
        Bytes of an array.
    direction : {"there", "back"}
        Where the arrays go.
    ranked : list of CellResult
        From the fastest to the slowest.
    first : list of CellResult
        The fastest, and those that cannot be told from it.
    """

    size: int
    direction: str
    ranked: list[CellResult]
    first: list[CellResult]


class _Found:
    """What was measured, and how its cells compare inside rounds.

    Parameters
    ----------
    results, rounds
        All cells, and their samples.

    Attributes
    ----------
    ranked : mapping of str to list of CellResult
        The transports of each workload, from the fastest to the slowest.
    comparisons : dict of (Cell, Cell) to Comparison
        Those that were asked for, and can be told.
    disturbed : bool
        Whether any cannot be, for other programs had the cores.
    """

    def __init__(self, results: Sequence[CellResult], rounds: Sequence[Round]) -> None:
        self._results = {result.cell: result for result in results if result.status == MEASURED and result.rate}
        self._rounds = rounds
        self.ranked = _ranked(results)
        self.comparisons: dict[tuple[Cell, Cell], Comparison] = {}
        self.disturbed = False

    def by(self, way: str) -> list[CellResult]:
        """What was measured of a way, from small arrays to large ones."""
        return [result for cell, result in self._results.items() if cell.variant == way]

    def compare(self, over: CellResult, under: CellResult) -> Comparison | None:
        """How many times as fast one is as the other; None if too few rounds can tell."""
        work = {result.cell: result.work or 0 for result in (over, under)}
        speeds, clean = rate_ratios(self._rounds, work, over.cell, under.cell)
        if clean < LEAST_SAMPLES:
            self.disturbed |= len(speeds) >= LEAST_SAMPLES
            return None
        compared = Comparison(*over.cell.key, under.variant, estimate(speeds))
        return self.comparisons.setdefault((over.cell, under.cell), compared)

    def first(self, ranked: Sequence[CellResult]) -> list[CellResult]:
        """The fastest, and those that cannot be told from it."""
        best, *others = ranked
        return [best, *(other for other in others if not _faster(self.compare(best, other)))]

    def rows(self, direction: str) -> list[_Row]:
        """From small arrays to large ones."""
        return [
            _Row(size, direction, ranked, self.first(ranked))
            for ranked in self.ranked.values()
            if ranked[0].direction == direction and (size := ranked[0].array_bytes) is not None
        ]


def _ranked(results: Sequence[CellResult]) -> Mapping[str, list[CellResult]]:
    """The transports of each workload that has two or more, from the fastest to the slowest."""
    of: dict[str, list[CellResult]] = {}
    for result in results:
        if result.variant in TRANSPORTS and result.status == MEASURED and result.rate:
            of.setdefault(result.workload, []).append(result)
    return {
        workload: sorted(ways, key=lambda one: -(one.rate or 0.0)) for workload, ways in of.items() if len(ways) > 1
    }


def _faster(compared: Comparison | None) -> bool:
    """Whether it is, by the whole interval."""
    return compared is not None and compared.speedup.low > 1


def _answer(found: _Found) -> tuple[str, str]:
    """The transport to which none is preferable at the most sizes."""
    rows = [row for direction in (THERE, BACK) for row in found.rows(direction)]
    if not rows:
        return "not asked", "Which transport to choose was not asked: that takes two of them, and no cell that fails."
    if not found.comparisons:
        why = "other programs used the cores in too many rounds" if found.disturbed else "there were too few rounds"
        return UNDECIDED, f"Which transport to choose is undecided: {why}."
    counts = {name: sum(name in _ways(row.first) for row in rows) for name in TRANSPORTS}
    ordered = sorted((name for name in counts if counts[name]), key=lambda name: -counts[name])
    best = ordered[0]
    cases = f"{counts[best]} of {len(rows)} cases (so many sizes, there and back)"
    alike = [name for name in ordered if counts[name] == counts[best]]
    if len(alike) > 1:
        return UNDECIDED, (
            f"Which transport to choose is undecided: in {cases} none is faster than {_list(alike, 'or')} by more than "
            "the times spread."
        )
    others = ", ".join(f"{name} in {counts[name]}" for name in ordered[1:])
    return best, (
        f"The transport to choose is {best}: in {cases} none is faster by more than the times spread"
        f"{f'; that holds for {others}' if others else ''}."
    )


def _on_integers(found: _Found) -> list[str]:
    """The latency of each."""
    ranked = found.ranked.get(INTEGER)
    if not ranked:
        return []
    times = ", ".join(f"{format_seconds(trip_time(one) or 0.0)} by {one.variant}" for one in ranked)
    sentence = f"An integer takes there and back {times}"
    best, *alike = found.first(ranked)
    slower = [one for one in ranked if one not in (best, *alike)][:1]
    told = f"{best.variant} is {_against(found, best, [*alike[:1], *slower])}"
    if alike:
        told = f"which of {_list(_ways([best, *alike]), 'and')} is first is undecided ({told})"
    return [f"{sentence}: {told}."]


def _on_sizes(found: _Found, direction: str) -> list[str]:
    """A sentence for each range of sizes of which the same is to be said."""
    rows = found.rows(direction)
    sentences = []
    while rows:
        common = _ways(rows[0].first)
        length = 1
        while length < len(rows):
            still = [way for way in common if way in _ways(rows[length].first)]
            # One that is first alone, and several that are not told apart, are different things to say.
            alone = len(common) == 1 and len(rows[length].first) == 1
            if not still or alone != (len(still) == 1):
                break
            common, length = still, length + 1
        sentences.append(_on_range(found, rows[:length], common))
        rows = rows[length:]
    return sentences


def _on_range(found: _Found, rows: Sequence[_Row], common: Sequence[str]) -> str:
    """Of sizes with the same first transports: which, and by how much, at the largest."""
    last = rows[-1]
    sizes = _sizes(rows[0].size, last.size)
    at = f"at {format_bytes(last.size)} "
    arrive = ARRIVE[last.direction]
    best, *alike = [one for one in last.ranked if one.variant in common]
    slower = [one for one in last.ranked if one not in last.first][:1]
    told = _against(found, best, [*alike[:1], *slower])
    if alike:
        which = _list(common, "and")
        return f"{sizes} it is undecided by which of {which} arrays {arrive} fastest: {at}{best.variant} is {told}."
    return f"{sizes} arrays {arrive} fastest by {best.variant}: {at if len(rows) > 1 else ''}{pace(best)}, {told}."


def _against(found: _Found, one: CellResult, others: Sequence[CellResult]) -> str:
    """How fast one is, against others."""
    told = []
    for other in others:
        compared = found.compare(one, other)
        told.append(f"{compared.speedup} as fast as {other.variant}" if compared else f"not told from {other.variant}")
    return " and ".join(told)


def _on_no_copy(found: _Found, way: str) -> list[str]:
    """From which size on an array of which only the name travels is there before any that is copied."""
    pairs = [(one, found.ranked[one.workload][0]) for one in found.by(way) if one.workload in found.ranked]
    if not pairs:
        return []
    speeds = [found.compare(one, best) for one, best in pairs]
    wins = 0
    while wins < len(pairs) and _faster(speeds[-1 - wins]):
        wins += 1
    one, best = pairs[-1]
    at = f"at {_large(one)}"
    if speeds[-1] is None or not wins:
        how = f"it is {speeds[-1].speedup} as fast" if speeds[-1] else "the two cannot be told apart"
        return [f"{LIES[way]} is not there decidedly before one that goes by {best.variant}: {at} {how}."]
    where = "at every size" if wins == len(pairs) else f"from {_large(pairs[-wins][0])} on"
    how = f"{speeds[-1].speedup} as fast as by {best.variant}"
    text = f"{LIES[way]} is there before any that is copied {where}: {at} {how}"
    if one.speedup is not None:
        text += f", and {_percent(one.speedup.median)} of its {format_seconds(trip_time(one) or 0.0)} are the reading"
    return [f"{text}."]


def _on_the_work(found: _Found) -> list[str]:
    """How much of the time is none of the transport's."""
    parts = []
    for direction in (THERE, BACK):
        rows = found.rows(direction)
        if rows and (best := rows[-1].ranked[0]).speedup is not None:
            time, share = format_seconds(trip_time(best) or 0.0), _percent(best.speedup.median)
            takes = f"takes {time} {direction} by {best.variant}, {share} of which {DOES[direction]} takes by itself"
            parts.append(f"n array of {_large(best)} {takes}")
    return [f"A{'; a'.join(parts)}."] if parts else []


def _on_what_is_left_out(results: Sequence[CellResult]) -> list[str]:
    """What could not be measured, by reasons."""
    why: dict[str, list[str]] = {}
    for result in results:
        if result.status != MEASURED:
            why.setdefault(f"{result.status}: {result.reason}", []).append(f"{result.workload} ({result.variant})")
    return [f"Left out: {'; '.join(cells)}: {reason}." for reason, cells in why.items()]


def _ways(results: Sequence[CellResult]) -> list[str]:
    return [result.variant for result in results]


def _large(result: CellResult) -> str:
    """The size of its arrays."""
    return format_bytes(result.array_bytes or 0)


def _sizes(smallest: int, largest: int) -> str:
    if smallest == largest:
        return f"At {format_bytes(largest)}"
    return f"From {format_bytes(smallest)} to {format_bytes(largest)}"


def _percent(share: float) -> str:
    return f"{100 * min(1.0, share):.0f} %"


def _list(names: Sequence[str], word: str) -> str:
    *most, last = names
    return f"{', '.join(most)} {word} {last}" if most else last
