"""`pc.scale`, with a short time for each sample."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

import parcount as pc
from parcount.studies.core.result import _schema
from parcount.studies.scale import experiment
from parcount.studies.scale.experiment import NothingMeasured, ScaleExperiment

Scale = Callable[..., pc.Study]


@pytest.fixture
def scale(monkeypatch: pytest.MonkeyPatch) -> Scale:
    monkeypatch.setattr(ScaleExperiment, "target", 0.002)
    monkeypatch.setattr(experiment, "_memory_bytes", lambda _workers: 1 << 16)

    def run(*args: Any, **more: Any) -> pc.Study:
        return pc.scale(*args, **{"workers": [1, 2], "seconds": 0.1, "timeout": 30, "progress": _silent, **more})

    return run


def _silent(what: str, passed: float, expected: float) -> None: ...


def measured(study: pc.Study) -> set[tuple[str, int]]:
    return {
        (cell.execution, cell.workers)
        for cell in study.cells
        if cell.workload == "target" and cell.status == "measured"
    }


EVERY = {("serial", 1), ("threads", 1), ("threads", 2), ("processes", 1), ("processes", 2)}


def test_a_nested_function_with_arguments(scale: Scale) -> None:
    base = [1, 2, 3]

    def total(more: int, *, times: int) -> int:
        return sum(base * times) + more

    study = scale(total, 4, times=100, executions=["threads", "processes"])
    assert measured(study) == EVERY
    assert study.cause == "undecided"  # so few rounds decide nothing
    content = json.loads(study.to_json())
    jsonschema.validate(content, _schema())
    assert content["verdict"]["causes"][0]["cause"] == "undecided"
    assert "total" in study._repr_html_()
    assert study.plot().axes


def test_what_cannot_be_sent_is_measured_in_this_process(scale: Scale) -> None:
    lock, calls = threading.Lock(), []

    def locked() -> None:
        with lock:
            calls.append(1)
            sum(range(1000))

    study = scale(locked, executions=["threads", "processes"])
    assert measured(study) == {one for one in EVERY if one[0] != "processes"}
    assert len(calls) > 10
    reasons = {cell.reason for cell in study.cells if cell.execution == "processes" and cell.workload == "target"}
    assert all("cannot be sent to another process" in str(reason) for reason in reasons)
    assert any("measured in this process" in note for note in study.environment["pythons"][0]["notes"])


def test_a_coroutine_function(scale: Scale) -> None:
    async def waits() -> None:
        await asyncio.sleep(0.0005)

    study = scale(waits, executions=["threads", "asyncio"])
    assert measured(study) == {("serial", 1), ("threads", 1), ("threads", 2), ("asyncio", 1), ("asyncio", 2)}


def test_a_setup_makes_the_arguments_of_each_worker(scale: Scale) -> None:
    def setup() -> tuple[list[int], int]:
        return [0], 5

    def grow(numbers: list[int], by: int) -> None:
        assert len(numbers) == 1
        numbers[0] += by

    assert measured(scale(grow, setup=setup, executions="threads")) == {one for one in EVERY if one[0] != "processes"}


def test_fresh_data_for_each_call(scale: Scale) -> None:
    study = scale(
        "numbers.sort(); assert len(numbers) == 1000; numbers.clear()",
        setup="numbers = list(range(1000))",
        fresh=True,
        executions="threads",
    )
    assert ("threads", 2) in measured(study)
    with pytest.raises(NothingMeasured, match="AssertionError"):
        scale("assert len(numbers) == 1000; numbers.clear()", setup="numbers = list(range(1000))", executions="threads")


def test_wrong_calls(scale: Scale) -> None:
    with pytest.raises(TypeError, match="callable, not int"):
        scale(7)
    with pytest.raises(ValueError, match="need a target that they can import"):
        scale(len, "", pythons=["3.13"])
    with pytest.raises(TypeError, match="neither arguments"):
        scale("len('')", 1)
    with pytest.raises(NothingMeasured, match="planted"):
        scale(_raises)


def _raises() -> None:
    raise ValueError("planted")
