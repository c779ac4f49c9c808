from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parcount.execution.interpreters import missing
from parcount.kernels import VARIANTS, WORKLOADS, Variant
from parcount.studies.core.cells import Cell
from parcount.studies.core.options import doublings
from parcount.studies.gil.experiment import EXECUTIONS, GilExperiment, file_bytes
from parcount.system.cores import parallel_cores


def test_by_default_the_counter_loop_in_every_variant_under_every_execution() -> None:
    asked = GilExperiment.check_options()
    cells, _ = GilExperiment().cells()
    assert {cell.workload for cell in cells} == {"tally"}
    assert list(dict.fromkeys(cell.variant for cell in cells)) == list(VARIANTS)
    assert {cell.execution for cell in cells} == {*EXECUTIONS} - ({"interpreters"} if missing() else set())
    assert max(asked.workers) == parallel_cores()
    assert len(set(cells)) == len(cells)


def test_a_variant_always_has_the_serial_cell_that_it_is_measured_against() -> None:
    cells, _ = GilExperiment(variants=["cython"], executions=["threads"], workers=[2]).cells()
    assert cells == [Cell("tally", "cython", "serial", 1), Cell("tally", "cython", "threads", 2)]
    assert cells[1].baseline == cells[0]


def test_names_are_put_in_their_usual_order_and_doubles_dropped() -> None:
    asked = GilExperiment.check_options(
        workloads=["histogram", "tally", "tally"], variants=["numba", "python"], workers=[4, 1, 4]
    )
    assert (asked.workloads, asked.variants, asked.workers) == (("tally", "histogram"), ("python", "numba"), (1, 4))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"workloads": ["tallly"]}, "no workload 'tallly'; there are tally, increment, bincount, histogram"),
        (
            {"variants": ["rust"]},
            "no variant 'rust'; there are python, numpy, cython, cython-gil, numba, numba-parallel",
        ),
        ({"executions": ["gpu"]}, "no execution 'gpu'; there are serial, threads, processes"),
        ({"workers": [0]}, "at least 1 and at most 1000000, not 0"),
        ({"workers": [2, -1]}, "at least 1 and at most 1000000, not -1"),
        ({"workers": []}, "no number of workers"),
        ({"variants": []}, "no variant named"),
        ({"size": -1}, "at least 0"),
        ({"seed": -1}, "seed"),
        ({"seconds": 0}, "more than 0 seconds"),
        ({"seconds": float("nan")}, "more than 0 seconds"),
        ({"workloads": ["tally"], "data": "x"}, "bincount"),
    ],
)
def test_invalid_options_raise_and_the_message_lists_valid_ones(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GilExperiment.check_options(**wrong)


def test_a_file_is_counted_by_bincount() -> None:
    assert GilExperiment.check_options(data="x").workloads == ("bincount",)
    assert GilExperiment.check_options(data=Path("x"), workloads=["tally", "bincount"]).data == "x"


def test_what_is_not_installed_stands_in_the_plan_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = Variant("numba", "…", "numba", requires="no_such_module_anywhere")
    monkeypatch.setattr("parcount.studies.gil.experiment.VARIANTS", {**VARIANTS, "numba": absent})
    cells, unmeasured = GilExperiment(variants=["cython", "numba"], executions=["threads", "processes"]).cells()
    assert {cell.variant for cell in cells} == {"cython", "numba"}
    assert set(unmeasured) == {cell for cell in cells if cell.variant == "numba"}
    assert all(status == "not installed" and "no_such_module_anywhere" in why for status, why in unmeasured.values())


@pytest.mark.skipif(VARIANTS["numba"].missing() is not None, reason="Numba is not installed: it has no threads to lack")
def test_more_threads_than_numba_has_are_not_supported() -> None:
    from parcount.kernels.numba_loops import most_threads

    _, unmeasured = GilExperiment(executions=["threads"], workers=[1, most_threads() + 1]).cells()
    assert {cell.key: status for cell, (status, _) in unmeasured.items()} == {
        ("tally", "numba-parallel", "threads", most_threads() + 1): "not supported"
    }


def test_interpreters_where_there_are_none_are_not_supported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parcount.studies.gil.experiment.missing", lambda: "an old Python")
    assert "interpreters" not in GilExperiment.check_options().executions
    _, unmeasured = GilExperiment(variants=["python"], executions=["threads", "interpreters"], workers=[2]).cells()
    assert unmeasured == {Cell("tally", "python", "interpreters", 2): ("not supported", "an old Python")}


@pytest.mark.skipif(missing() is not None, reason=missing() or "")
def test_interpreters_count_what_they_can_import() -> None:
    _, unmeasured = GilExperiment(workers=[2]).cells()
    refused = {cell.variant: why for cell, why in unmeasured.items() if cell.execution == "interpreters"}
    assert "python" not in refused
    status, reason = refused["cython"]
    assert status == "not supported"
    assert reason.startswith("parcount._native.tally cannot be imported in a subinterpreter: ")


@given(st.integers(1, 1000))
def test_workers_double_up_to_all_cores(cores: int) -> None:
    numbers = doublings(cores)
    assert numbers[0] == 1
    assert numbers[-1] == cores
    assert all(low < high <= max(2 * low, low + 1) for low, high in pairwise(numbers))


def test_file_bytes_maps_the_file(tmp_path: Path) -> None:
    path = tmp_path / "bytes"
    path.write_bytes(b"abca")
    assert file_bytes(str(path)).tolist() == [97, 98, 99, 97]
    path.write_bytes(b"")
    assert file_bytes(str(path)).size == 0
    with pytest.raises(OSError, match="No such file"):
        file_bytes(str(tmp_path / "absent"))
    with pytest.raises(OSError, match=r"directory|denied"):
        file_bytes(str(tmp_path))


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_workload_has_a_plan(name: str) -> None:
    cells, _ = GilExperiment(workloads=[name]).cells()
    assert {cell.variant for cell in cells} == set(WORKLOADS[name].kernels)


def test_a_mapped_file_is_read_only(tmp_path: Path) -> None:
    path = tmp_path / "bytes"
    path.write_bytes(os.urandom(100))
    data = file_bytes(os.fspath(path))
    assert isinstance(data, np.memmap)
    assert not data.flags.writeable
