"""The instrument as a whole, on this machine; nothing is asserted about how fast anything is."""

from __future__ import annotations

import gc
import multiprocessing
from collections import ChainMap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import parcount as pc
from parcount.execution.interpreters import missing
from parcount.kernels import WORKLOADS
from parcount.shm import blocks
from parcount.studies.core import counting
from parcount.studies.gil import experiment
from parcount.studies.gil.experiment import GilExperiment
from tests.studies.gil import broken

SHORT = {"seconds": 0.01, "workers": [1, 2], "executions": ["threads", "processes"]}


@pytest.fixture(autouse=True)
def short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GilExperiment, "target", 0.002)


@pytest.fixture(autouse=True)
def nothing_left() -> Any:
    before = set(blocks._blocks)  # a failed test before this one may have left its arrays in a traceback
    yield
    assert multiprocessing.active_children() == []
    gc.collect()
    assert set(blocks._blocks) <= before


@pytest.mark.slow
@pytest.mark.parametrize("workload", WORKLOADS)
def test_every_cell_of_every_workload_is_exact(workload: str) -> None:
    result = pc.study("gil", workloads=workload, **SHORT)
    assert result.complete
    assert result.exact
    ran = [cell for cell in result.cells if cell.status == "measured"]
    assert {"python", "numpy", "cython", "cython-gil"} <= {cell.variant for cell in ran}
    assert {cell.status for cell in result.cells} <= {"measured", "not installed"}
    for cell in ran:
        assert cell.exact
        assert cell.work
        assert len(cell.seconds) == len(cell.waited) >= 3
        assert (cell.startup is None) == (cell.execution == "serial")


@pytest.mark.skipif(missing() is not None, reason=missing() or "")
@pytest.mark.parametrize("workload", WORKLOADS)
def test_interpreters_count_exactly_what_they_can_import(workload: str) -> None:
    asked = {**SHORT, "executions": ["interpreters"]}
    result = pc.study("gil", workloads=workload, variants=["python", "cython"], size=3000, **asked)
    assert result.complete
    cells = {cell.variant: cell for cell in result.cells if cell.execution == "interpreters"}
    assert cells["python"].status == "measured"
    assert cells["python"].exact
    assert cells["python"].startup is not None
    assert cells["cython"].status == "not supported"
    assert "parcount._native" in str(cells["cython"].reason)


def test_size_zero_is_exact_and_empty() -> None:
    result = pc.study("gil", workloads=list(WORKLOADS), size=0, **{**SHORT, "executions": ["threads"]})
    assert result.exact
    assert result.verdict.answer == "not asked"
    assert all(cell.work == 0 and cell.rate is None and cell.speedup is None for cell in result.cells if cell.seconds)


@pytest.mark.parametrize("size", [1, 7, 4097])
def test_a_given_size_is_the_size_of_every_cell(size: int) -> None:
    result = pc.study("gil", workloads="increment", variants=["numpy", "cython"], size=size, **SHORT)
    assert result.exact
    assert {cell.work for cell in result.cells} == {size}


def test_a_file_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "bytes"
    path.write_bytes(np.random.default_rng(0).integers(0, 256, 100_000, np.uint8).tobytes())
    for size, work in ((None, 1 << 10), (99_999, 99_999), (200_000, 100_000)):
        result = pc.study("gil", data=path, variants="cython", size=size, **SHORT)
        assert result.exact
        assert {cell.workload for cell in result.cells} == {"bincount"}
        assert all(cell.work and work <= cell.work <= 100_000 for cell in result.cells)


def test_an_empty_file_is_counted(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    result = pc.study("gil", data=tmp_path / "empty", variants="cython", **SHORT)
    assert result.exact
    assert {cell.work for cell in result.cells} == {0}


def test_an_unreadable_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        pc.study("gil", data=tmp_path / "absent")


def test_a_wrong_kernel_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check of exactness can fail: a loop that loses a count is caught in every cell that runs it."""
    kernels = ChainMap({"numpy": broken.loses_one}, WORKLOADS["tally"].kernels)  # type: ignore[arg-type]
    monkeypatch.setattr(type(WORKLOADS["tally"]), "kernels", kernels)
    result = pc.study("gil", workloads="tally", variants=["numpy", "cython"], **SHORT)
    assert not result.exact
    assert result.verdict.answer == "not exact"
    assert {cell.variant for cell in result.cells if cell.exact is False} == {"numpy"}
    assert {cell.status for cell in result.cells if cell.variant == "numpy"} == {"failed"}


def test_a_kernel_that_raises_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = ChainMap({"numpy": broken.raises}, WORKLOADS["tally"].kernels)  # type: ignore[arg-type]
    monkeypatch.setattr(type(WORKLOADS["tally"]), "kernels", kernels)
    result = pc.study("gil", workloads="tally", variants=["numpy", "cython"], **SHORT)
    failed = [cell for cell in result.cells if cell.status == "failed"]
    assert {cell.variant for cell in failed} == {"numpy"}
    assert "ArithmeticError: on purpose" in str(failed[0].reason)
    assert any(cell.variant == "cython" and cell.exact for cell in result.cells)
    assert result.exact  # nothing that ran was wrong


def test_a_worker_that_dies_fails_its_cell_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = ChainMap({"numpy": broken.exits_in_a_worker}, WORKLOADS["tally"].kernels)  # type: ignore[arg-type]
    monkeypatch.setattr(type(WORKLOADS["tally"]), "kernels", kernels)
    result = pc.study("gil", workloads="tally", variants=["numpy", "cython"], **SHORT)
    failed = {(cell.variant, cell.execution): cell.reason for cell in result.cells if cell.status == "failed"}
    assert set(failed) == {("numpy", "processes")}
    assert "exit code 3" in str(failed["numpy", "processes"])


def test_ctrl_c_gives_what_was_measured() -> None:
    def interrupt(what: str, passed: float, expected: float) -> None:
        if what == "round 3":
            raise KeyboardInterrupt

    asked = {**SHORT, "seconds": 5, "workers": [2]}
    result = pc.study("gil", workloads="tally", variants="cython", progress=interrupt, **asked)
    assert not result.complete
    assert result.exact
    assert {len(cell.seconds) for cell in result.cells} == {2}
    assert "interrupted" in str(result)


def test_ctrl_c_before_the_first_round_gives_an_empty_study() -> None:
    def interrupt(what: str, passed: float, expected: float) -> None:
        raise KeyboardInterrupt

    result = pc.study("gil", workloads="tally", variants="cython", progress=interrupt)
    assert not result.complete
    assert all(cell.seconds == [] for cell in result.cells)
    assert {cell.status for cell in result.cells} == {"interrupted"}
    assert not result.measured
    assert str(result) == "The study was interrupted before the first round: nothing was measured."


def test_progress_tells_the_time_that_there_is() -> None:
    told: list[tuple[str, float, float]] = []
    pc.study(
        "gil", workloads="tally", variants="cython", seconds=0.3, workers=[1], progress=lambda *now: told.append(now)
    )
    passed = [now for _, now, _ in told]
    assert passed == sorted(passed)
    assert all(now <= expected for _, now, expected in told)
    assert any(what.startswith("round") for what, _, _ in told)


def test_equal_seeds_make_equal_options_and_data() -> None:
    one, other = (
        pc.study("gil", workloads="bincount", variants="cython", size=1000, seed=5, **SHORT) for _ in range(2)
    )
    assert one.options == other.options


def test_a_full_shared_memory_makes_smaller_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    def place_small(job: Any) -> Any:
        if job.size > 1 << 18:
            raise OSError(28, "no room")
        return counting.to_shared_memory(job)

    monkeypatch.setattr(experiment, "to_shared_memory", place_small)
    result = pc.study("gil", workloads="bincount", variants=["cython"], **SHORT)
    assert result.exact
    assert all(cell.work and cell.work <= 1 << 18 for cell in result.cells)
    with pytest.raises(OSError, match="no room"):
        pc.study("gil", workloads="bincount", variants=["cython"], size=1 << 19, **SHORT)


def test_variants_of_about_one_speed_count_the_same_job(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = {"cython": 1.0e8, "cython-gil": 1.1e8}
    monkeypatch.setattr(GilExperiment, "time", lambda self, cell: self.work[cell] / rates[cell.variant])
    opened = GilExperiment(variants=[*rates], workers=[1], executions=["serial"], seconds=0.1)
    with opened:
        opened.prepare(opened.cells()[0], lambda _: None)
        assert len(opened.work) == 2
        assert len(set(opened.work.values())) == 1
