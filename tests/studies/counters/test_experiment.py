"""The study of counters."""

from __future__ import annotations

import io
import json
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import parcount as pc
from parcount.studies.core.analysis import CellResult
from parcount.studies.core.cells import Cell, Sample
from parcount.studies.core.claims import Comparison, Verdict
from parcount.studies.core.findings import Findings
from parcount.studies.core.result import Study
from parcount.studies.core.statistics import Estimate
from parcount.studies.counters import methods
from parcount.studies.counters.experiment import CountersExperiment
from parcount.studies.counters.methods import METHODS
from parcount.studies.counters.table import tables
from tests.studies.core.fitting import check_tables
from tests.studies.core.test_result import SCHEMA

SIZE = 20_000
CHEAP = ["counter += 1", "threading.Lock", "AtomicCounter", "SharedCounter"]


def experiment_of(*names: str, workers: int = 2, size: int = SIZE) -> CountersExperiment:
    return CountersExperiment(variants=names, workers=workers, size=size, seconds=1)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_counts_what_it_promises(name: str) -> None:
    with experiment_of(name, size=SIZE) as opened:
        cells, _ = opened.cells()
        opened.prepare(cells, lambda _: None)
        assert not opened.failed
        for cell in cells * 2:
            sample = opened.run(cell)
            assert sample is not None
            assert sample.seconds > 0
            assert 0 <= sample.lost < SIZE
            assert sample.exact == (sample.lost == 0)
            assert sample.exact or (METHODS[name].may_lose and cell.workers > 1)
        assert opened.work == dict.fromkeys(cells, SIZE)


def test_a_size_that_cannot_be_shared_out_evenly_is_counted_whole() -> None:
    with experiment_of("AtomicCounter", "SharedCounter", workers=3, size=1001) as opened:
        cells, _ = opened.cells()
        opened.prepare(cells, lambda _: None)
        assert all(opened.run(cell).exact for cell in cells)


@pytest.fixture
def short_switch_interval() -> Iterator[None]:
    """Threads that are switched as often as possible."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("short_switch_interval")
@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.may_lose])
def test_lost_increments_are_counted(name: str) -> None:
    if name == "counter += 1" and not sysconfig.get_config_var("Py_GIL_DISABLED"):
        pytest.skip("with the GIL none may be lost, by how this Python happens to be made")
    with experiment_of(name, size=200_000) as opened:
        cells, _ = opened.cells()
        opened.prepare(cells, lambda _: None)
        assert any(not opened.run(cells[-1]).exact for _ in range(100))


def test_an_exact_method_that_loses_counts_fails_the_study(monkeypatch: pytest.MonkeyPatch) -> None:
    forgetful = replace(METHODS["AtomicCounter"], read=lambda counter: counter.value - 1)
    monkeypatch.setitem(METHODS, "AtomicCounter", forgetful)  # type: ignore[arg-type]
    result = pc.study("counters", variants=["counter += 1", "AtomicCounter"], size=1000, seconds=0.01)
    assert not result.exact
    assert result.verdict.answer == "not exact"
    assert "LOST COUNTS in counter/AtomicCounter" in str(result)
    assert {cell.status for cell in result.cells if cell.variant == "AtomicCounter"} == {"failed"}


def test_a_method_that_cannot_run_here_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Any) -> Any:
        raise OSError("no room")

    monkeypatch.setitem(METHODS, "AtomicCounter", replace(METHODS["AtomicCounter"], make=refuse))  # type: ignore[arg-type]
    result = pc.study("counters", variants=["AtomicCounter", "threading.Lock"], size=1000, seconds=0.01)
    by_status = {(cell.variant, cell.execution): (cell.status, cell.reason) for cell in result.cells}
    assert by_status["AtomicCounter", "serial"] == ("failed", "OSError: no room")
    assert by_status["AtomicCounter", "threads"] == ("failed", "its serial cell failed")
    assert by_status["threading.Lock", "threads"] == ("measured", None)
    assert "OSError: no room" in str(result)


@pytest.fixture(scope="module")
def study() -> Study:
    return pc.study("counters", variants=CHEAP, workers=[1, 2, 3], size=3000, seconds=0.3)


def test_a_study_has_every_cell_and_fits_the_schema(study: Study, tmp_path: Path) -> None:
    assert study.name == "counters"
    assert [cell.cell for cell in study.cells if cell.variant == "SharedCounter"] == [
        Cell("counter", "SharedCounter", "serial", 1),
        *(Cell("counter", "SharedCounter", on, workers) for on in ("threads", "processes") for workers in (2, 3)),
    ]
    for cell in study.cells:
        assert cell.status == "measured"
        assert len(cell.lost) == len(cell.seconds) >= 3
    study.save(tmp_path / "a.json")
    jsonschema.validate(json.loads((tmp_path / "a.json").read_text()), SCHEMA)
    assert Study.load(tmp_path / "a.json") == study


def test_it_is_shown_in_a_table(study: Study) -> None:
    pytest.importorskip("rich")
    stream = io.StringIO()
    CountersExperiment.show(study, stream)
    text = stream.getvalue()
    for word in ("method", "1 worker", "3 threads", "[95 %]", "place", "SharedCounter", "processes", "ns", "lost"):
        assert word in text
    for sentence in study.verdict.sentences:
        assert sentence in " ".join(text.split())


def test_its_tables_fit(study: Study) -> None:
    check_tables(study)


def test_methods_that_cannot_be_told_apart_share_a_place(study: Study) -> None:
    def timed(variant: str, seconds: list[float], lost: int = 0) -> CellResult:
        cell = Cell("counter", variant, "threads", 2)
        rate = 1e9 / seconds[1]
        lost_each = [lost] * len(seconds)
        return CellResult(**asdict(cell), status="measured", work=10**9, seconds=seconds, rate=rate, lost=lost_each)

    several = [
        timed("counter += 1", [1.0] * 3, lost=5),
        timed("threading.Lock", [90.0, 100.0, 110.0]),
        timed("LockedCounter", [30.0, 31.0, 32.0]),
        timed("AtomicCounter", [30.5, 30.6, 30.7]),
        timed("ShardedCounter", [20.0, 31.5, 40.0]),
    ]
    alone = [replace(cell, execution="serial", workers=1) for cell in several]
    (table,) = tables(replace(study, cells=[*alone, *several]))
    assert [row[:2] for row in table.rows] == [
        ("LockedCounter", "1"),
        ("AtomicCounter", "1"),
        ("ShardedCounter", "1"),
        ("threading.Lock", "4"),
        ("counter += 1", "–"),
    ]
    assert table.rows[0][-3:-1] == ("31.0 ns", "[30.0–32.0]")
    # What the verdict has compared in the same rounds is not judged by the intervals.
    apart = Comparison("counter", "AtomicCounter", "threads", 2, "LockedCounter", Estimate(1.3, 1.2, 1.4))
    decided = replace(study, cells=[*alone, *several], verdict=Verdict("lost", ["Lost."], [], [apart]))
    places = {row[0]: row[1] for table in tables(decided) for row in table.rows}
    assert places["LockedCounter"] == "2"
    assert places["AtomicCounter"] == "1"


def test_it_is_drawn(study: Study, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from parcount.report import figure

    figure.save(CountersExperiment.draw(study), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    (axes,) = CountersExperiment.draw(study).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == CHEAP


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"variants": "abacus"}, "no method 'abacus'; there are counter"),
        ({"variants": []}, "no method named"),
        ({"workers": 0}, "at least 1"),
        ({"size": -1}, "at least 0"),
        ({"seed": -1}, "seed"),
        ({"seconds": 0}, "more than 0 seconds"),
    ],
)
def test_invalid_options_raise(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pc.study("counters", **wrong)


def cell(variant: str, execution: str, workers: int, *, lost: int = 0, rate: float = 1e8) -> CellResult:
    exact = lost == 0
    status = "measured" if exact or METHODS[variant].may_lose else "failed"
    return CellResult(
        "counter", variant, execution, workers, status, None, exact, 1000, [1e-5] * 4, rate, lost=[lost, 0, 0, 0]
    )


def sentences(*cells: CellResult, gil: bool = True, rounds: int = 12) -> tuple[str, str]:
    one = {result.cell: Sample(1000 / (result.rate or 1.0), True) for result in cells}
    verdict = CountersExperiment.build_verdict(Findings(cells, [one] * rounds, 2, gil))
    return verdict.answer, "\n".join(verdict.sentences)


class TestVerdict:
    def test_none_lost_is_no_promise(self) -> None:
        answer, text = sentences(cell("counter += 1", "threads", 2), cell("AtomicCounter", "threads", 2))
        assert answer == "none lost"
        assert "none lost in 4.0 thousand tries" in text
        assert "no guarantee" in text
        assert "with the GIL" in text
        assert "safe" not in text

    def test_what_is_lost_is_told_with_the_python(self) -> None:
        answer, text = sentences(cell("counter += 1", "threads", 2, lost=1200), gil=False)
        assert answer == "lost"
        assert "counter += 1, on 2 threads, lost 1.2 thousand of 4.0 thousand increments (30 %)" in text
        assert "without a GIL" in text

    def test_the_cheapest_method_is_compared_with_the_best_known(self) -> None:
        _, text = sentences(
            cell("threading.Lock", "serial", 1, rate=1e7),
            cell("threading.Lock", "threads", 2, rate=2e6),
            cell("AtomicCounter", "threads", 2),
            cell("SharedCounter", "processes", 2, rate=5e7),
        )
        assert "Exact and cheapest on 2 threads: AtomicCounter, 10 ns an increment" in text
        assert "threading.Lock, 500 ns an increment (100 ns by itself)" in text
        assert "Exact and cheapest on 2 processes: SharedCounter, 20 ns an increment" in text

    def test_methods_that_cannot_be_told_apart_are_not_ranked(self) -> None:
        methods = [cell("AtomicCounter", "threads", 2), cell("SharedCounter", "threads", 2, rate=0.99e8)]
        _, text = sentences(*methods)
        assert "not told apart, on 2 threads: AtomicCounter, 10 ns an increment; SharedCounter, 10 ns" in text
        _, text = sentences(methods[0], cell("SharedCounter", "threads", 2, rate=1e7), rounds=5)
        assert "not told apart" in text

    def test_nothing_tried_is_nothing_claimed(self) -> None:
        answer, text = sentences(cell("counter += 1", "serial", 1))
        assert answer == "not asked"
        assert "Nothing is claimed" in text


def test_the_command_can_name_every_method() -> None:
    assert not any("," in name for name in METHODS)  # it separates names by commas
    assert methods.THREADS in METHODS["SharedCounter"].executions
