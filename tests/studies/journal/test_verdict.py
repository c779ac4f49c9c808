"""The verdict on simulated samples."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest

from parcount.report.units import format_bytes
from parcount.studies.core.analysis import analyse
from parcount.studies.core.cells import Cell, Sample
from parcount.studies.core.claims import Verdict
from parcount.studies.core.findings import Findings
from parcount.studies.journal.experiment import JournalExperiment

SIZES = (16, 100, 1024, 65536)
WORK = 1000

Rates = Mapping[str, float | tuple[float, ...]]
"""Records a second by each method, of every size or of each."""

USUAL: Rates = {
    "reserve": (2e6, 1.5e6, 5e5, 2e4),
    "lock": (2e5, 2e5, 1.5e5, 2e4),
    "queue": (1e6, 8e5, 2e5, 1e4),
    "file.write+flush": 3e5,
    "os.write": (8e5, 7e5, 5e5, 3e4),
    "mp.Queue": 5e4,
    "file.write": 4e6,
}
RESERVE_ALWAYS = (
    "On this file system, for 4 processes, take reserve for records of every size: no other way is measurably faster."
)
ONE, THREADS, PROCESSES, TWO = ("serial", 1), ("threads", 4), ("processes", 4), ("processes", 2)


def verdict(
    who: Mapping[tuple[str, int], Rates],
    *,
    count: int = 14,
    noise: float = 0.01,
    seed: int = 0,
    faults: Mapping[str, tuple[int, int, int, int]] | None = None,
) -> Verdict:
    """The verdict on cells with these rates; `faults` of a method are those of each run by several processes."""
    noises = random.Random(seed)
    seconds: dict[Cell, float] = {}
    for (execution, workers), rates in who.items():
        for method, rate in rates.items():
            for size, one in zip(SIZES, rate if isinstance(rate, tuple) else (rate,) * len(SIZES), strict=True):
                workload = f"records of {format_bytes(size)}"
                cell = Cell(workload, method, execution, workers, unit="record", record_bytes=size)
                seconds[cell] = WORK / one
    rounds = []
    for _ in range(count):
        current = {}
        for cell, usual in seconds.items():
            wrong = (faults or {}).get(cell.variant, (0,) * 4) if cell.execution == "processes" else (0,) * 4
            lost, *others = wrong
            evidence = dict(zip(("torn", "duplicated", "reordered"), others, strict=True))
            noisy = usual * noises.lognormvariate(0, noise)
            current[cell] = Sample(noisy, not any(wrong), lost=lost, evidence=evidence)
        rounds.append(current)
    results = analyse(
        list(seconds),
        rounds,
        work=dict.fromkeys(seconds, WORK),
        startup={},
        unmeasured={},
        may_lose=JournalExperiment.lossy_variants,
        intervals=False,
    )
    return JournalExperiment.build_verdict(Findings(results, rounds, 2, True))


def text(found: Verdict) -> str:
    return "\n".join(found.sentences)


def test_the_fastest_way_for_every_size_is_the_answer() -> None:
    found = verdict({PROCESSES: USUAL, ONE: USUAL}, noise=0.0)
    assert found.answer == "reserve"
    assert found.sentences[0] == RESERVE_ALWAYS
    assert "The same for one writer." in found.sentences
    assert (
        "Records of 16 bytes from 4 processes: reserve appends 2.0 million a second, each writer one in 2 µs. It is "
        "2.00× [2.00–2.00] as fast as queue and 10.00× [10.00–10.00] as fast as lock." in text(found)
    )
    assert "Records of 64 kB from 4 processes: reserve appends 20 thousand a second" in text(found)
    holds = {claim.statement: claim.holds for claim in found.claims}
    assert holds["reserve is faster than lock for records of 100 bytes from 4 processes"] is True
    assert holds["reserve is faster than mp.Queue for records of 100 bytes from 4 processes"] is True
    assert holds["reserve is faster than file.write+flush for records of 100 bytes from 4 processes"] is True
    (ratio,) = (
        claim.estimate for claim in found.claims if claim.statement.startswith("reserve is faster than mp.Queue")
    )
    assert ratio is not None
    assert ratio.median == pytest.approx(30)


def test_from_which_size_on_another_way_is_faster() -> None:
    found = verdict({PROCESSES: {"reserve": (9.0, 9.0, 4.0, 1.0), "lock": (3.0, 3.0, 5.0, 2.0), "queue": 0.5}})
    assert found.answer == "undecided"  # each of two ways is the fastest at half of the sizes
    assert found.sentences[0].endswith(
        "take reserve for records of up to 100 bytes; lock from 1 kB on: no other way is measurably faster."
    )
    found = verdict({PROCESSES: {"reserve": (9.0, 9.0, 6.0, 1.0), "lock": (3.0, 3.0, 5.0, 2.0), "queue": 0.5}})
    assert found.answer == "reserve"
    assert found.sentences[0].endswith(
        "take reserve for records of up to 1 kB; lock from 64 kB on: no other way is measurably faster."
    )


def test_ways_that_are_alike_are_not_told_apart() -> None:
    found = verdict({PROCESSES: {"reserve": 1e6, "lock": 1e6}}, noise=0.2)
    assert found.answer == "undecided"
    assert "take reserve or lock for records of every size" in found.sentences[0].replace(
        "lock or reserve", "reserve or lock"
    )
    assert not any(claim.holds for claim in found.claims)
    assert "It is undecided whether" in text(found)


def test_fewer_writers_get_an_advice_of_their_own() -> None:
    few = {"reserve": 1e6, "lock": 2e6, "queue": 1e5}
    found = verdict({PROCESSES: USUAL, TWO: few, THREADS: USUAL, ONE: few})
    assert found.sentences[:3] == [
        RESERVE_ALWAYS,
        "The same for 4 threads.",
        "For 2 processes and one writer, take lock for records of every size.",
    ]


def test_what_is_faster_and_what_it_lacks_is_told() -> None:
    found = text(verdict({PROCESSES: USUAL}, noise=0.0))
    assert "Records of 100 bytes from 4 processes: reserve is 2.14× [2.14–2.14] as fast as os.write, 5.00×" in found
    assert "There file.write is 2.67× [2.67–2.67] as fast as reserve, but a writer that is killed loses" in found


def test_too_few_rounds_decide_nothing() -> None:
    found = verdict({PROCESSES: USUAL}, count=5)
    assert found.answer == "undecided"
    assert "too few rounds" in found.sentences[0]


@pytest.mark.parametrize("who", [{ONE: USUAL}, {PROCESSES: {"reserve": 1.0, "mp.Queue": 1.0}}, {}])
def test_what_it_takes_to_answer(who: Mapping[tuple[str, int], Rates]) -> None:
    found = verdict(who)
    assert found.answer == "not asked"
    assert "several writers, two ways of the journal" in found.sentences[0]


def test_threads_answer_where_there_are_no_processes() -> None:
    assert (
        verdict({THREADS: USUAL, ONE: USUAL})
        .sentences[0]
        .startswith("On this file system, for 4 threads, take reserve")
    )


def test_losses_of_others_are_told_and_ours_fail_the_study() -> None:
    found = verdict({PROCESSES: USUAL, ONE: USUAL}, faults={"file.write": (3, 7, 0, 2)})
    assert found.answer == "reserve"
    assert (
        "file.write does not keep every record: of 14 thousand records of 16 bytes from 4 processes, "
        "42 lost, 98 torn, 28 reordered." in text(found)
    )
    assert "Other methods lost none of" in text(found)
    assert "The journal lost, tore, duplicated and reordered none of 340 thousand records." in text(found)
    for wrong in ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)):
        found = verdict({PROCESSES: USUAL, ONE: USUAL}, faults={"reserve": wrong})
        assert found.answer == "not exact"
        assert "LOST OR WRONG RECORDS in records of 16 bytes/reserve/processes/4" in text(found)


def test_few_answers_are_wrong_where_nothing_differs() -> None:
    """A claim is wrong in one of four hundred studies, however many rounds there are."""
    equal = {PROCESSES: {"reserve": 1e6, "lock": 1e6}}
    found = [verdict(equal, noise=0.1, count=20, seed=seed) for seed in range(25)]
    assert sum(bool(claim.holds) for one in found for claim in one.claims) <= 2
