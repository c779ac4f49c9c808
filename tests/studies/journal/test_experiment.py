"""The study of the journal."""

from __future__ import annotations

import io
import json
import os
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import parcount as pc
from parcount.studies.core.cells import Cell
from parcount.studies.core.result import Study
from parcount.studies.journal.experiment import RUN_RECORDS, JournalExperiment
from parcount.studies.journal.methods import METHODS, WAYS
from parcount.system.file_system import file_system
from tests.studies.core.fitting import check_tables
from tests.studies.core.test_result import SCHEMA
from tests.studies.journal.planted import DYING, FAILING, PERIOD, WRONG, planted

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no journal")

RECORDS = 10 * PERIOD
QUICK: dict[str, Any] = {"workers": 2, "bytes": 100, "size": RECORDS, "seconds": 0.01}
ALONE = {**QUICK, "workers": 1}
"""No cells of several writers: each process takes a third of a second to start."""


FEW = ["reserve", "lock", "os.write", "mp.Queue", "queue.Queue"]


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the files go, unless a directory is given."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def by_cell(study: Study) -> dict[tuple[str, str], Any]:
    return {(cell.variant, cell.execution): cell for cell in study.cells}


class TestMethods:
    def test_each_appends_every_record(self, directory: Path) -> None:
        with JournalExperiment(**QUICK) as opened:
            cells, unmeasured = opened.cells()
            ours = [cell for cell in cells if cell not in unmeasured]
            opened.prepare(ours, lambda _: None)
            assert not opened.failed
            for cell in ours:
                sample = opened.run(cell)
                assert sample is not None, opened.failed
                assert sample.seconds > 0
                assert sample.exact, cell
                assert sample.lost == 0
                assert set(sample.evidence.values()) == {0}
            assert opened.work == dict.fromkeys(ours, RECORDS)
            assert opened.pids()[1:]
        assert [*directory.iterdir()] == []

    def test_records_that_cannot_be_shared_out_evenly_and_fewer_than_writers(self) -> None:
        for size, workers in ((7, 3), (2, 3)):
            with JournalExperiment(variants=["lock", "queue.Queue"], bytes=[16], size=size, workers=workers) as opened:
                cells = [cell for cell in opened.cells()[0] if cell.execution != "processes"]
                opened.prepare(cells, lambda _: None)
                assert all(opened.run(cell).exact for cell in cells)

    def test_a_writer_appends_as_much_as_fits_in_its_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(JournalExperiment, "target", 0.002)
        with JournalExperiment(variants=["file.write", "SQLite WAL"], bytes=[16, 1 << 16], seconds=1) as opened:
            cells = [cell for cell in opened.cells()[0] if cell.execution != "processes"]
            opened.prepare(cells, lambda _: None)
            assert not opened.failed
            assert all(1 <= opened.work[cell] <= RUN_RECORDS for cell in cells)
            assert all(opened.work[cell] * cell.record_bytes <= 1 << 24 for cell in cells)
            assert all(opened.run(cell).exact for cell in cells)

    def test_those_that_cannot_wait_for_the_disk_are_left_out_where_that_is_asked(self) -> None:
        study = pc.study(
            "journal", variants=["lock", "file.write", "SQLite WAL", "QueueHandler"], sync="record", **ALONE
        )
        status = {cell.variant: (cell.status, cell.reason) for cell in study.cells}
        assert status["lock"] == status["SQLite WAL"] == ("measured", None)
        assert status["file.write"] == status["QueueHandler"] == ("not supported", "it does not wait for the disk")
        assert "on the disk when its append returns" in " ".join(JournalExperiment.legend(study))

    def test_a_library_that_is_missing_leaves_its_method_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "concurrent_log_handler", None)
        study = pc.study("journal", variants=["lock", "concurrent-log-handler"], **ALONE)
        assert {cell.status for cell in study.cells if cell.variant != "lock"} == {"not installed"}
        assert {cell.status for cell in study.cells if cell.variant == "lock"} == {"measured"}


class TestExactness:
    def test_what_a_method_spoils_is_found_and_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        spoilers = dict(zip(("file.write", "file.write+flush", "os.write", "SQLite WAL"), WRONG, strict=True))
        for name, spoil in spoilers.items():
            monkeypatch.setitem(METHODS, name, planted(spoil))  # type: ignore[arg-type]
        study = pc.study("journal", variants=["lock", *spoilers], **QUICK)
        for name, spoil in spoilers.items():
            counts = {kind: count * RECORDS // PERIOD for kind, count in asdict(WRONG[spoil]).items()}
            for execution in ("serial", "threads", "processes"):
                cell = by_cell(study)[name, execution]
                assert cell.status == "measured"  # a finding, and no failure
                assert cell.exact is False
                assert {"lost": {*cell.lost}, **{kind: {*values} for kind, values in cell.evidence.items()}} == {
                    kind: {count} for kind, count in counts.items()
                }
            assert f"{name} does not keep every record: of" in str(study)
        assert all(cell.exact for cell in study.cells if cell.variant == "lock")
        assert study.exact
        assert "The journal lost, tore, duplicated and reordered none of" in str(study)
        wrong = {row[0]: row[-1] for row in JournalExperiment.tables(study)[0].rows}
        assert wrong == {"lock": "none", **dict.fromkeys(spoilers, "20 %"), "file.write+flush": "40 %"}

    @pytest.mark.parametrize("spoil", WRONG)
    def test_a_way_of_ours_that_spoils_one_fails_the_study(self, spoil: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(METHODS, "lock", replace(METHODS["lock"], convert=planted(spoil).convert))  # type: ignore[arg-type]
        study = pc.study("journal", variants=["lock", "os.write"], **ALONE)
        assert not study.exact
        assert study.verdict.answer == "not exact"
        assert "LOST OR WRONG RECORDS in records of 100 bytes/lock/serial/1" in str(study)
        assert {cell.status for cell in study.cells if cell.variant == "lock"} == {"failed"}

    def test_a_writer_that_raises_or_dies_fails_its_method_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(METHODS, "os.write", FAILING)  # type: ignore[arg-type]
        monkeypatch.setitem(METHODS, "file.write", DYING)  # type: ignore[arg-type]
        study = pc.study("journal", variants=["lock", "file.write", "os.write", "mp.Queue"], **ALONE)
        found = {cell.variant: (cell.status, cell.reason, cell.exact) for cell in study.cells}
        assert found == {
            "lock": ("measured", None, True),
            "file.write": ("failed", "RuntimeError: a process ended with exit code -9", None),
            "os.write": ("failed", "OSError: no space", None),
            "mp.Queue": ("measured", None, True),
        }


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """With short cells."""
    directory = tmp_path_factory.mktemp("files")
    return pc.study("journal", variants=FEW, workers=2, bytes=[100, 2000], size=24, seconds=0.1, directory=directory)


@pytest.mark.slow
def test_a_whole_study_with_every_method(tmp_path: Path) -> None:
    study = pc.study("journal", bytes=[100, 1 << 16], seconds=12, directory=tmp_path)
    assert study.exact
    assert {cell.status for cell in study.cells} <= {"measured", "not installed"}, study.legend()
    for cell in study.cells:
        assert not sum(cell.lost)
        assert not any(sum(values) for values in cell.evidence.values())
    assert {cell.variant for cell in study.cells} == {*METHODS}
    assert study.verdict.claims
    assert [*tmp_path.iterdir()] == []


class TestStudy:
    def test_it_has_every_cell_and_fits_the_schema(self, study: Study, tmp_path: Path) -> None:
        assert study.name == "journal"
        assert study.complete
        assert [cell.cell for cell in study.cells if cell.variant == "lock"] == [
            Cell(f"records of {size}", "lock", execution, workers)
            for size in ("100 bytes", "1.95 kB")
            for execution, workers in (("serial", 1), ("threads", 2), ("processes", 2))
        ]
        for cell in study.cells:
            assert cell.status in ("measured", "not installed"), cell.reason
            if cell.seconds:
                assert cell.work == 24
                assert cell.unit == "record"
                assert len(cell.seconds) == len(cell.evidence["torn"]) >= 3
        assert study.exact
        assert study.environment["file_system"] == file_system(study.options["directory"])
        study.save(tmp_path / "a.json")
        jsonschema.validate(json.loads((tmp_path / "a.json").read_text()), SCHEMA)
        assert Study.load(tmp_path / "a.json") == study

    def test_the_documentation_names_what_only_this_study_has(self) -> None:
        text = (Path(__file__).parents[3] / "docs" / "result-file.md").read_text(encoding="utf-8")
        for name in ("journal", "record_bytes", "directory", "sync", "file_system", "torn", "duplicated", "reordered"):
            assert f"`{name}`" in text
        for way in WAYS:
            assert f"`{way}`" in text

    def test_it_is_shown_in_tables(self, study: Study) -> None:
        pytest.importorskip("rich")
        stream = io.StringIO()
        JournalExperiment.show(study, stream)
        text = " ".join(stream.getvalue().split())
        for word in ("2 processes: records per second", "one writer", "100 bytes", "wrong", "none", "O_APPEND"):
            assert word in text
        for sentence in study.verdict.sentences:
            assert sentence in text

    def test_its_tables_fit(self, study: Study) -> None:
        check_tables(study)

    def test_it_is_drawn(self, study: Study, tmp_path: Path) -> None:
        pytest.importorskip("matplotlib")
        from parcount.report import figure

        figure.save(JournalExperiment.draw(study), tmp_path / "a.svg")
        assert "<svg" in (tmp_path / "a.svg").read_text()
        processes, threads = JournalExperiment.draw(study).axes
        labels = {axes: {text.get_text() for text in axes.texts} for axes in (processes, threads)}
        assert labels[processes] == {*FEW} - {"queue.Queue"}
        assert labels[threads] == {*FEW} - {"mp.Queue"}

    def test_what_was_not_measured_is_drawn_as_such(self, study: Study) -> None:
        pytest.importorskip("matplotlib")
        empty = replace(study, cells=[replace(cell, rate=None) for cell in study.cells])
        assert [axes.texts[0].get_text() for axes in JournalExperiment.draw(empty).axes] == ["nothing was measured"] * 2

    def test_ctrl_c_gives_what_was_measured_and_leaves_no_file(self, directory: Path) -> None:
        def interrupt(what: str, passed: float, expected: float) -> None:
            if what == "round 3":
                raise KeyboardInterrupt

        result = pc.study("journal", variants="lock", **{**ALONE, "seconds": 5}, progress=interrupt)
        assert not result.complete
        assert {len(cell.seconds) for cell in result.cells} == {2}
        assert [*directory.iterdir()] == []


class TestDirectory:
    def test_files_are_where_they_are_asked_for(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "there").mkdir()
        seen: list[Path] = []
        share = METHODS["os.write"].share

        def watched(path: Path, sync: bool) -> Any:
            seen.append(path)
            return share(path, sync)

        monkeypatch.setitem(METHODS, "os.write", replace(METHODS["os.write"], share=watched, executions=("threads",)))  # type: ignore[arg-type]
        pc.study("journal", variants="os.write", **ALONE, directory=tmp_path / "there")
        assert seen
        assert all(path.is_relative_to(tmp_path / "there") for path in seen)
        assert [*(tmp_path / "there").iterdir()] == []

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
    def test_one_that_cannot_be_written_to_is_an_error(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o500)
        with pytest.raises(OSError, match="Permission denied"):
            pc.study("journal", variants="lock", **ALONE, directory=tmp_path)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"variants": "quill"}, "no method 'quill'; there are reserve, lock, queue, file.write"),
        ({"workers": 0}, "at least 1"),
        ({"bytes": 15}, "from 16 to 16777216 bytes, not 15"),
        ({"bytes": []}, "no size of records named"),
        ({"size": 0}, "at least 1 record, not 0"),
        ({"sync": "always"}, "no sync 'always'; there are none, record"),
        ({"directory": "no/such/place"}, "there is no directory no/such/place"),
        ({"seed": -1}, "seed"),
        ({"seconds": 0}, "more than 0 seconds"),
    ],
)
def test_invalid_options_raise(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pc.study("journal", **wrong)


def test_the_command_can_name_every_method() -> None:
    assert not any("," in name for name in METHODS)  # it separates names by commas
