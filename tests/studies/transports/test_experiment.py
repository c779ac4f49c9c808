"""The study of transports."""

from __future__ import annotations

import errno
import io
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import parcount as pc
from parcount.execution.processes.serialisation import SHARED_COPY_MIN_BYTES
from parcount.execution.processes.transports import TRANSPORTS
from parcount.report.units import format_bytes
from parcount.shm import blocks
from parcount.studies.core.analysis import CellResult, analyse
from parcount.studies.core.cells import Cell, Round, Sample
from parcount.studies.core.claims import Claim, Verdict
from parcount.studies.core.findings import Findings
from parcount.studies.core.result import Study
from parcount.studies.core.statistics import Estimate
from parcount.studies.transports import experiment
from parcount.studies.transports.experiment import TransportsExperiment, trips
from parcount.studies.transports.payload import ITEM, checksum, expected_checksum, make
from parcount.studies.transports.table import tables
from parcount.studies.transports.verdict import ALONE, BACK, INTEGER, MAPPED, METHODS, SHARED, THERE
from parcount.system.memory import FreeMemory
from tests.studies.core.fitting import check_tables
from tests.studies.core.test_result import SCHEMA

QUICK: dict[str, Any] = {"size": 4096, "seconds": 0.01}
KB, MB = 1 << 10, 1 << 20


class TestWork:
    @given(st.integers(0, 1 << 62), st.integers(1, 300))
    def test_the_checksum_is_known_without_the_array(self, start: int, count: int) -> None:
        array = make((start, count * ITEM))
        assert array.nbytes == count * ITEM
        assert array.tolist() == [*range(start, start + count)]
        assert checksum(array) == expected_checksum(start, count * ITEM)

    @given(st.integers(1, 1 << 40), st.integers(3, 300), st.data())
    def test_it_depends_on_every_element_and_their_order(self, start: int, count: int, data: st.DataObject) -> None:
        expected = expected_checksum(start, count * ITEM)
        array = make((start, count * ITEM))
        index = data.draw(st.integers(0, count - 1))
        array[index] += np.uint64(data.draw(st.integers(1, 1 << 16)))
        assert checksum(array) != expected
        assert checksum(make((start + 1, count * ITEM))) != expected
        assert checksum(make((start, (count - 1) * ITEM))) != expected
        cut = data.draw(st.integers(1, count - 1))
        whole = make((start, count * ITEM))
        assert checksum(np.concatenate([whole[cut:], whole[:cut]])) != expected


def largest_sizes(largest: int) -> list[int]:
    return [cell.array_bytes for cell in trips(largest) if cell.direction == THERE and cell.array_bytes is not None]


def cells_with(free: FreeMemory, **options: Any) -> tuple[list[Cell], dict[Cell, tuple[str, str]]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "free_memory", lambda _: free)
        return TransportsExperiment(**options).cells()


class TestCells:
    def test_sizes_are_powers_of_four(self) -> None:
        assert largest_sizes(KB) == [KB]
        assert largest_sizes(4 * KB - 1) == [KB]
        assert [format_bytes(size) for size in largest_sizes(256 * MB)] == [
            "1 kB", "4 kB", "16 kB", "64 kB", "256 kB", "1 MB", "4 MB", "16 MB", "64 MB", "256 MB"
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("seconds", "largest"), [(600, 256 * MB), (120, 64 * MB), (20, 16 * MB), (10, 4 * MB), (1e-6, KB)]
    )
    def test_the_largest_array_fits_the_time(self, seconds: float, largest: int) -> None:
        asked = TransportsExperiment(seconds=seconds)
        assert asked.options.workloads[-1] == f"back, {format_bytes(largest)}"
        assert max(cell.array_bytes or 0 for cell in asked.cells()[0]) == largest

    def test_each_workload_has_the_work_alone_and_its_methods(self) -> None:
        cells, unmeasured = cells_with(FreeMemory(), size=4 * KB)
        assert not unmeasured
        by_workload: dict[str, list[str]] = {}
        for cell in cells:
            assert cell.execution == ("serial" if cell.variant == ALONE else "processes")
            assert TransportsExperiment().baseline(cell) in cells
            by_workload.setdefault(cell.workload, []).append(cell.variant)
        assert by_workload == {
            INTEGER: [ALONE, *TRANSPORTS],
            "there, 1 kB": [ALONE, *METHODS],
            "there, 4 kB": [ALONE, *METHODS],
            "back, 1 kB": [ALONE, *TRANSPORTS],
            "back, 4 kB": [ALONE, *TRANSPORTS],
        }

    def test_every_transport_is_asked(self) -> None:
        assert set(TRANSPORTS) < set(TransportsExperiment().options.variants)

    def test_too_little_shared_memory_leaves_out_what_would_lie_there(self) -> None:
        cells, unmeasured = cells_with(FreeMemory(shared=2 * SHARED_COPY_MIN_BYTES), size=16 * MB)
        out = {(cell.workload, cell.variant) for cell in unmeasured}
        assert ("there, 16 MB", SHARED) in out
        assert ("there, 16 MB", "shared_memory") in out
        assert ("back, 1 MB", "shared_memory") in out
        assert ("there, 256 kB", SHARED) not in out
        assert {variant for _, variant in out} == {SHARED, "shared_memory"}
        assert {status for status, _ in unmeasured.values()} == {"not supported"}
        reason = unmeasured[Cell("there, 16 MB", SHARED, "processes", 1)][1]
        assert reason.startswith("2 MB are free of shared memory (/dev/shm")
        assert "48 MB are needed for 16 MB" in reason
        tiny = cells_with(FreeMemory(shared=0), size=16 * MB)[1]
        below = [cell for cell in cells if cell.variant == "shared_memory" and _bytes(cell) < SHARED_COPY_MIN_BYTES]
        assert below
        assert not {*below} & {*tiny}  # these go through the pipe

    def test_too_little_memory_leaves_out_large_arrays_with_every_method(self) -> None:
        cells, unmeasured = cells_with(FreeMemory(memory=100 * MB), size=16 * MB)
        assert {*unmeasured} == {cell for cell in cells if _bytes(cell) == 16 * MB}
        assert "free of memory" in next(iter(unmeasured.values()))[1]

    def test_too_little_disk_leaves_out_the_file(self) -> None:
        _, unmeasured = cells_with(FreeMemory(disk=3 * MB), size=16 * MB)
        assert {cell.variant for cell in unmeasured} == {MAPPED}
        assert {cell.workload for cell in unmeasured} == {"there, 4 MB", "there, 16 MB"}


def _bytes(cell: Cell) -> int:
    return cell.array_bytes or 0


@pytest.fixture(scope="module")
def study() -> Study:
    """With all methods, for arrays on either side of where `shared_memory` begins to copy."""
    return pc.study("transports", size=4 * MB, seconds=1.5)  # so that a pause of the machine leaves many trips


@pytest.mark.xdist_group("transports study")  # measured once
class TestStudy:
    def test_it_has_every_cell_and_fits_the_schema(self, study: Study, tmp_path: Path) -> None:
        assert study.name == "transports"
        assert study.complete
        assert study.exact
        assert [cell.cell for cell in study.cells] == cells_with(FreeMemory(), size=4 * MB)[0]
        for cell in study.cells:
            assert cell.status == "measured", cell.reason
            assert len(cell.seconds) >= 3
            assert cell.work is not None
            assert cell.work % (_bytes(cell.cell) or 1) == 0
            assert cell.speedup is not None
        study.save(tmp_path / "a.json")
        jsonschema.validate(json.loads((tmp_path / "a.json").read_text()), SCHEMA)
        assert Study.load(tmp_path / "a.json") == study

    def test_of_small_arrays_a_run_has_many_trips(self, study: Study) -> None:
        for cell in study.cells:
            if cell.workload == "there, 1 kB" and cell.variant == ALONE:
                assert cell.work is not None
                assert cell.work >= 16 * KB

    def test_the_documentation_names_what_only_this_study_has(self) -> None:
        text = (Path(__file__).parents[3] / "docs" / "result-file.md").read_text(encoding="utf-8")
        for name in ("transports", INTEGER, ALONE, *METHODS):
            assert f"`{name}`" in text

    def test_it_is_shown_in_tables(self, study: Study) -> None:
        pytest.importorskip("rich")
        stream = io.StringIO()
        TransportsExperiment.show(study, stream)
        text = " ".join(stream.getvalue().split())
        for word in ("integer", "there: to a worker", "back: made", "1 kB", "4 MB", "µs", "GB/s"):
            assert word in text
        there = next(iter(tables(study)))
        assert [column.name.replace("_\n", "_").replace("\n", " ") for column in there.columns[1:]] == [ALONE, *METHODS]
        for sentence in study.verdict.sentences:
            assert sentence in text

    def test_its_tables_fit(self, study: Study) -> None:
        check_tables(study)

    def test_only_transports_that_are_not_slower_are_marked(self, study: Study) -> None:
        best, same, slow = (next(str(cell.cell) for cell in study.cells if cell.variant == name) for name in
                            ("pipe", "pickle", "queue"))  # fmt: skip

        def claim(other: str, holds: bool | None) -> Claim:
            return Claim("faster", [best, other], "ratio", 1.05, Estimate(1.1, 1.0, 1.2), holds)

        def marked(*claims: Claim) -> list[str]:
            verdict = Verdict("pipe", ["Pipe."], list(claims))
            there = next(iter(tables(replace(study, verdict=verdict))))
            names = [column.name for column in there.columns]
            return [name for name, text in zip(names, there.rows[0], strict=True) if text.endswith("*")]

        assert marked(claim(same, None), claim(slow, True)) == ["pickle", "pipe"]
        assert marked(claim(same, None), claim(slow, None)) == []

    def test_it_is_drawn(self, study: Study, tmp_path: Path) -> None:
        pytest.importorskip("matplotlib")
        from parcount.report import figure

        figure.save(TransportsExperiment.draw(study), tmp_path / "a.svg")
        assert "<svg" in (tmp_path / "a.svg").read_text()
        there, back = TransportsExperiment.draw(study).axes
        assert {text.get_text() for text in there.texts} == {*METHODS, "the work alone"}
        assert {text.get_text() for text in back.texts} == {*TRANSPORTS, "the work alone"}
        assert [text.get_text() for text in there.get_xticklabels()][::6] == ["1 kB", "4 MB"]

    def test_what_was_not_measured_is_drawn_and_shown_as_such(self, study: Study) -> None:
        pytest.importorskip("matplotlib")
        pytest.importorskip("rich")
        cells = [replace(cell, status="not supported", reason="no room", rate=None) for cell in study.cells]
        empty = replace(study, cells=cells)
        assert [axes.texts[0].get_text() for axes in TransportsExperiment.draw(empty).axes] == [
            "nothing was measured"
        ] * 2
        stream = io.StringIO()
        TransportsExperiment.show(empty, stream)
        assert stream.getvalue().count("–") == len([cell for cell in cells if cell.variant != ALONE])

    def test_ctrl_c_gives_what_was_measured(self) -> None:
        def interrupt(what: str, passed: float, expected: float) -> None:
            if what == "round 3":
                raise KeyboardInterrupt

        result = pc.study("transports", variants="pipe", size=KB, seconds=5, progress=interrupt)
        assert not result.complete
        assert {len(cell.seconds) for cell in result.cells} == {2}
        assert "interrupted" in str(result)

    def test_no_file_and_no_shared_memory_stays(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        before = {*blocks._blocks}
        pc.study("transports", variants=[MAPPED, SHARED, "shared_memory"], **QUICK)
        assert [*tmp_path.iterdir()] == []
        assert {*blocks._blocks} <= before


class TestExactness:
    def test_an_array_that_arrives_wrong_fails_its_cell(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is sent has one element that differs from what is expected."""
        real = experiment._fill

        def spoilt(array: Any) -> Any:
            filled = real(array)
            filled[200] += np.uint64(1)  # in all but the arrays of 1 kB
            return filled

        monkeypatch.setattr(experiment, "_fill", spoilt)
        result = pc.study("transports", variants=["pipe", "pickle", SHARED], **QUICK)
        assert not result.exact
        assert result.verdict.answer == "not exact"
        assert "WRONG ARRAYS in there, 4 kB/work alone/serial/1; there, 4 kB/pickle/processes/1" in str(result)
        for cell in result.cells:
            assert (cell.status == "failed") == (_bytes(cell.cell) == 4096)
            assert (cell.exact is False) == (_bytes(cell.cell) == 4096)
            if cell.workload == "there, 4 kB":
                assert min(cell.lost) >= 1

    def test_an_array_that_comes_back_with_the_right_checksum_alone_is_wrong(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One element is compared at a time, besides the sum: a checksum may be right by chance."""
        monkeypatch.setattr(experiment, "make", lambda task: make((task[0] + 1, task[1])))
        monkeypatch.setattr(experiment, "checksum", lambda array: expected_checksum(int(array[0]) - 1, array.nbytes))
        cell = Cell("back, 1 kB", ALONE, "serial", 1, unit="byte", direction=BACK, array_bytes=KB)
        with TransportsExperiment() as opened:
            opened._arrays[ALONE] = make((1, KB))
            opened._pools[ALONE] = pc.Serial()
            opened.work[cell] = 3 * KB
            sample = opened.run(cell)
        assert sample is not None
        assert not sample.exact
        assert sample.lost == 1

    def test_an_integer_that_comes_back_wrong_is_seen(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(experiment, "abs", lambda number: number + (number == 2), raising=False)
        cell = Cell(INTEGER, ALONE, "serial", 1)
        with TransportsExperiment() as opened:
            opened._pools[ALONE] = pc.Serial()
            opened.work[cell] = 3
            sample = opened.run(cell)
        assert sample is not None
        assert not sample.exact
        assert sample.lost == 1


class TestTooLittleMemory:
    """What the system refuses is left out with the reason, and nothing else."""

    @staticmethod
    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, "no room for 4096 bytes of shared memory")

    def test_no_shared_memory_at_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(experiment, "shared_array", self.full)
        result = pc.study("transports", variants=["pipe", SHARED, MAPPED], **QUICK)
        assert result.exact
        assert result.complete
        for cell in result.cells:
            assert cell.status == ("not supported" if cell.variant == SHARED else "measured")
        assert "Left out: there, 1 kB (shared array); there, 4 kB (shared array): not supported: " in str(result)
        assert "no room for 4096 bytes" in str(result)

    def test_a_full_disk(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(TransportsExperiment, "_map_file", self.full)
        result = pc.study("transports", variants=["pipe", MAPPED], **QUICK)
        assert {cell.variant for cell in result.cells if cell.status == "not supported"} == {MAPPED}

    def test_shared_memory_that_runs_out_during_a_study(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fill_up(what: str, passed: float, expected: float) -> None:
            if what == "round 2":
                monkeypatch.setattr(blocks, "_create", self.full)

        result = pc.study("transports", variants=["pipe", "shared_memory"], size=MB, seconds=0.05, progress=fill_up)
        out = [cell for cell in result.cells if cell.status != "measured"]
        assert [(cell.workload, cell.variant) for cell in out] == [("there, 1 MB", "shared_memory")]
        assert out[0].status == "not supported"
        assert result.exact

    @pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing tells how much there is")
    def test_free_shared_memory_is_taken_into_account(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            "parcount.studies.transports.experiment.free_memory", lambda _folder: FreeMemory(shared=3 * KB)
        )
        result = pc.study("transports", variants=["pipe", SHARED], **QUICK)
        status = {(cell.workload, cell.variant): cell.status for cell in result.cells}
        assert status["there, 1 kB", SHARED] == "measured"
        assert status["there, 4 kB", SHARED] == "not supported"
        assert "3 kB are free of shared memory" in str(result)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"variants": "pigeon"},
            "no method 'pigeon'; there are pickle, pipe, queue, shared_memory, shared array",
        ),
        ({"variants": []}, "no method named"),
        ({"size": 1023}, "at least 1024 bytes"),
        ({"size": -1}, "at least 1024 bytes, not -1"),
        ({"seed": -1}, "seed"),
        ({"seconds": 0}, "more than 0 seconds"),
    ],
)
def test_invalid_options_raise(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pc.study("transports", **wrong)


def cell_of(workload: str, variant: str) -> Cell:
    """A cell of a workload in `ROWS`, or of integers."""
    execution = "serial" if variant == ALONE else "processes"
    if workload == INTEGER:
        return Cell(workload, variant, execution, 1, unit="trip")
    direction, size = ROWS[workload]
    return Cell(workload, variant, execution, 1, unit="byte", direction=direction, array_bytes=size)


Slow = Callable[[Cell, int], float]
SIZES = [KB, 64 * KB, MB, 16 * MB]
ROWS = {f"{one}, {format_bytes(size)}": (one, size) for one in (THERE, BACK) for size in SIZES}
SMALLEST = next(iter(ROWS))
baseline = TransportsExperiment().baseline


def times() -> dict[Cell, float]:
    """Seconds of a trip on a machine on which pipe is first, then shared_memory, pickle and queue."""
    found = {
        cell_of(INTEGER, name): 40e-6 * scale for name, scale in zip(TRANSPORTS, (1.1, 1.0, 2.0, 1.1), strict=True)
    }
    found[cell_of(INTEGER, ALONE)] = 1e-7
    for row in ROWS:
        direction, size = ROWS[row]
        alone = size / 20e9
        found[cell_of(row, ALONE)] = alone
        for name, scale in (("pipe", 1.0), ("shared_memory", 1.5), ("pickle", 3.0), ("queue", 4.0)):
            found[cell_of(row, name)] = scale * (50e-6 + 4 * alone)
        if direction == THERE:
            found[cell_of(row, SHARED)] = 50e-6 + 1.02 * alone
            found[cell_of(row, MAPPED)] = 60e-6 + 1.25 * alone
    return found


def verdict(
    changes: dict[Cell, float] | None = None,
    *,
    without: Callable[[Cell], bool] = lambda _cell: False,
    count: int = 12,
    slow: Slow = lambda _cell, _round: 1.0,
    waited: Callable[[Cell], float] = lambda _cell: 0.0,
    unmeasured: dict[Cell, tuple[str, str]] | None = None,
    wrong: Cell | None = None,
    load: Sequence[str] = (),
    partial: bool = False,
) -> Verdict:
    """The verdict on that machine, with changes."""
    seconds = {cell: time for cell, time in {**times(), **(changes or {})}.items() if not without(cell)}
    work = {cell: _bytes(cell) or 1 for cell in seconds}
    rounds: list[Round] = [
        {
            cell: Sample(time * slow(cell, number), cell != wrong, waited(cell))
            for cell, time in seconds.items()
            if cell not in (unmeasured or {})
        }
        for number in range(count)
    ]
    results = analyse(
        list(seconds),
        rounds,
        work=work,
        startup={},
        unmeasured=unmeasured or {},
        baseline=baseline,
    )
    return TransportsExperiment.build_verdict(Findings(results, rounds, 2, True, load), partial=partial)


def text(found: Verdict) -> str:
    return "\n".join(found.sentences)


def jumps(*cells: Cell) -> Slow:
    """These take twice as long in every other round."""
    return lambda cell, number: 1.0 + (number % 2) * (cell in cells)


class TestVerdict:
    def test_the_transport_to_choose_is_that_to_which_none_is_preferable(self) -> None:
        found = verdict()
        assert found.answer == "pipe"
        assert found.sentences[0] == (
            "The transport to choose is pipe: in 8 of 8 cases (sizes and directions), no other is measurably faster."
        )

    def test_it_need_not_be_first_everywhere(self) -> None:
        found = verdict({cell_of(row, "shared_memory"): 1e-6 for row in [*ROWS][-2:]})
        assert found.answer == "pipe"
        assert "in 6 of 8 cases" in found.sentences[0]
        assert "the same holds for shared_memory in 2." in found.sentences[0]

    def test_as_many_cases_each_decide_nothing(self) -> None:
        found = verdict({cell_of(row, "queue"): 1e-6 for row in [*ROWS][:4]})
        assert found.answer == "undecided"
        assert "in 4 of 8 cases" in found.sentences[0]
        assert "undecided: for each of pipe and queue, in 4 of 8 cases" in found.sentences[0]

    def test_one_transport_alone_is_not_compared(self) -> None:
        found = verdict(without=lambda cell: cell.variant in ("pickle", "queue", "shared_memory"))
        assert found.answer == "not asked"
        assert "takes two of them" in found.sentences[0]
        assert found.comparisons == []

    def test_latency(self) -> None:
        assert (
            "An integer takes 40 µs by pipe, 44 µs by pickle, 44 µs by shared_memory, 80 µs by queue to a worker and "
            "back: pipe is 1.10× [1.10–1.10] as fast as pickle." in text(verdict())
        )
        unsteady = verdict(slow=jumps(cell_of(INTEGER, "pipe")))
        assert "which of pickle, shared_memory and pipe is the fastest is undecided (pickle is 1.00×" in text(unsteady)

    def test_sizes_of_which_the_same_is_to_be_said_stand_in_one_sentence(self) -> None:
        found = text(verdict())
        assert (
            "From 1 kB to 16 MB, pipe is the fastest to the worker: at 16 MB 4.59 GB/s, 1.50× [1.50–1.50] as fast as "
            "shared_memory." in found
        )
        assert found.count("the fastest from the worker") == 1

    def test_where_another_is_first_another_sentence_begins(self) -> None:
        found = text(verdict({cell_of("there, 1 kB", "pickle"): 1e-6, cell_of("there, 16 MB", "shared_memory"): 1e-3}))
        assert "At 1 kB, pickle is the fastest to the worker: 1 µs, 50.20× [50.20–50.20] as fast as pipe." in found
        assert "From 64 kB to 1 MB, pipe is the fastest to the worker" in found
        assert "At 16 MB, shared_memory is the fastest to the worker: 15.6 GB/s, " in found
        assert "From 1 kB to 16 MB, pipe is the fastest from the worker" in found

    def test_an_interval_with_both_decides_nothing(self) -> None:
        steady = {cell_of(row, "shared_memory"): times()[cell_of(row, "pipe")] for row in [*ROWS][:2]}
        found = text(verdict(steady, slow=jumps(*(cell_of(row, "shared_memory") for row in [*ROWS][:2]))))
        assert "From 1 kB to 64 kB, it is undecided whether pipe or shared_memory is the fastest to the worker" in found
        assert "at 64 kB pipe is 1.50× [1.00–2.00] as fast as shared_memory and 3.00× [3.00–3.00] as fast as" in found
        assert "From 1 MB to 16 MB, pipe is the fastest to the worker" in found

    def test_undecided_sizes_stand_together_by_what_they_have_in_common(self) -> None:
        alike = {
            cell_of(row, name): times()[cell_of(row, "pipe")] for row in [*ROWS][:4] for name in ("shared_memory",)
        }
        alike[cell_of(SMALLEST, "queue")] = times()[cell_of(SMALLEST, "pipe")]
        found = text(verdict(alike))
        assert "From 1 kB to 16 MB, it is undecided whether pipe or shared_memory is the fastest" in found

    @pytest.mark.parametrize(
        ("variant", "sentence"),
        [
            (SHARED, "A shared array, which is sent by name, is faster than any copy"),
            (MAPPED, "A memory-mapped file, which is sent by name, is faster than any copy"),
        ],
    )
    def test_from_which_size_on_no_copy_pays(self, variant: str, sentence: str) -> None:
        slow = {cell_of(row, variant): 1.0 for row in [*ROWS][:2]}
        assert f"{sentence} from 1 MB on: at 16 MB " in text(verdict(slow))
        assert "at every size" in text(verdict({cell_of(row, variant): 1e-6 for row in [*ROWS][:4]}))

    def test_how_much_of_its_time_is_the_reading(self) -> None:
        found = text(verdict())
        assert "at 16 MB it is 3.76× [3.76–3.76] as fast as pipe, and reading is 93 % of its 906 µs" in found

    def test_no_copy_that_saves_nothing_is_told(self) -> None:
        found = text(verdict({cell_of("there, 16 MB", SHARED): 1.0}))
        assert (
            "A shared array, which is sent by name, is not decidedly faster than pipe: at 16 MB it is 0.00× [0.00–0.00]"
            in found
        )

    def test_how_much_of_the_time_is_the_work(self) -> None:
        found = text(verdict())
        assert "An array of 16 MB takes 3.41 ms to the worker by pipe; reading it alone takes 25 % of that." in found
        assert "takes 3.41 ms from the worker by pipe; making and reading it alone takes 25 % of that." in found

    def test_what_others_took_is_told(self) -> None:
        found = verdict(waited=lambda _cell: 0.4, load=["burn (process 7) kept 1.00 cores busy"])
        assert found.answer == "pipe"
        assert "burn (process 7) kept 1.00 cores busy." in text(found)

    def test_what_is_left_out_is_told_with_the_reason(self) -> None:
        cells = [cell_of("there, 16 MB", SHARED), cell_of("there, 1 MB", SHARED)]
        found = text(verdict(unmeasured=dict.fromkeys(cells, ("not supported", "2 MB are free"))))
        assert (
            "Left out: there, 1 MB (shared array); there, 16 MB (shared array): not supported: 2 MB are free." in found
        )
        assert "at 64 kB" in found

    def test_a_wrong_array_replaces_the_verdict(self) -> None:
        found = verdict(wrong=cell_of("there, 1 MB", "pipe"))
        assert found.answer == "not exact"
        assert found.sentences[0] == (
            "WRONG ARRAYS in there, 1 MB/pipe/processes/1: no other number of this study can be trusted."
        )
        assert "returned what was sent" not in text(found)
        assert found.comparisons == []

    def test_every_comparison_is_inside_a_round(self) -> None:
        found = verdict(slow=lambda _cell, number: 1.0 + number)  # all cells drift together
        assert found.answer == "pipe"
        compared = {(one.workload, one.variant, one.against): one.speedup for one in found.comparisons}
        assert compared["there, 1 MB", "pipe", "shared_memory"].low == pytest.approx(1.5)
        assert compared["there, 1 MB", "pipe", "shared_memory"].high == pytest.approx(1.5)
        assert compared[INTEGER, "pipe", "queue"].median == pytest.approx(2.0)

    def test_two_rounds_decide_nothing(self) -> None:
        found = verdict(count=2, partial=True)
        assert found.answer == "undecided"
        assert found.sentences[0] == "Which transport to choose is undecided: there were too few rounds."
        assert found.comparisons == []

    def test_nothing_measured_says_so(self) -> None:
        cell = CellResult(
            *cell_of(INTEGER, "pipe").key, "interrupted", "the study was interrupted before its first run"
        )
        found = TransportsExperiment.build_verdict(Findings([cell], [], 2, True), partial=True)
        assert found.answer == "undecided"
        assert found.sentences == ["The study was interrupted before the first round: nothing was measured."]

    def test_close_transports_get_more_rounds(self) -> None:
        close = {cell_of(SMALLEST, "shared_memory"): times()[cell_of(SMALLEST, "pipe")]}
        found = verdict(close, slow=jumps(cell_of(SMALLEST, "pipe")))
        undecided = [claim for claim in found.claims if claim.holds is None]
        assert [claim.statement for claim in undecided] == ["shared_memory is faster than pipe for there, 1 kB"]
        assert undecided[0].cells == ["there, 1 kB/shared_memory/processes/1", "there, 1 kB/pipe/processes/1"]
