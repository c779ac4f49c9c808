from __future__ import annotations

import math

import numpy as np
import pytest

import parcount as pc
from parcount.costmodel import costs, process_startup
from parcount.costmodel.costs import MEASURED, assumed_costs, run_rounds
from parcount.costmodel.jobs import DTYPES, make_job
from parcount.costmodel.parameters import PARAMETERS
from parcount.engine.run import run
from parcount.studies.core.statistics import LEAST_SAMPLES


def test_every_cost_is_measured_or_assumed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "LEAST_SAMPLES", 1)
    told: list[str] = []
    found = costs.measure(make_job("bincount", "uint16", 16, 5000), 1e-9, lambda what, *_: told.append(what))
    assert [*found, *assumed_costs()] == list(PARAMETERS)
    for name, cost in found.items():
        assert PARAMETERS[name].least <= cost.low <= cost.value <= cost.high < math.inf
        assert cost.source == MEASURED
    assert {"data and workers", "round 1: counting", "round 1: starting processes"} <= set(told)


class Clock:
    """Moves on by a second with each probe."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("until", "rounds"), [(0, LEAST_SAMPLES), (30, 7), (31, 7), (33, 8)])
def test_rounds_hold_every_probe_once_and_end_in_time(until: float, rounds: int) -> None:
    clock, ran = Clock(), []

    def probe(name: str) -> costs.Probe:
        def run() -> dict[str, float]:
            clock.now += 1
            ran.append(name)
            return {name: clock.now}

        return name, run

    names = ["a", "b", "c", "d"]
    found = run_rounds([probe(name) for name in names], until, lambda _: None, clock)
    assert len(found) == rounds
    orders = [tuple(ran[at : at + 4]) for at in range(0, len(ran), 4)]
    assert all(sorted(order) == names for order in orders)
    assert len(set(orders)) > 1
    assert [sorted(one) for one in found] == [names] * rounds


def test_what_starts_no_processes_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_startup, "SCRIPT", "import sys; sys.exit('out of order')")
    with pytest.raises(OSError, match="out of order"):
        process_startup.measure_startup(2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_keys_fill_their_bins_and_are_counted_as_users_count(dtype: str) -> None:
    job = make_job("bincount", dtype, 100, 10_000)
    keys = job.keys(10_000)
    assert isinstance(keys, np.ndarray)
    assert keys.dtype == dtype
    assert np.array_equal(job.count(keys, threads=1)[:100], np.bincount(keys.astype(np.int64), minlength=100))
    assert np.array_equal(keys, np.asarray(job.keys(10_000, shared=True)))


def test_keys_of_tally_are_generated() -> None:
    job = make_job("tally", bins=16, size=1000)
    assert job.key_bytes == 0
    assert np.array_equal(job.count(job.keys(1000)), pc.tally(1000, bins=16))


@pytest.mark.parametrize("workload", ["bincount", "tally"])
def test_a_minimal_job_is_one_key_in_one_bin(workload: str) -> None:
    kernel, work = make_job(workload).minimal_job()
    assert run(work, kernel, pc.Serial()).tolist() == [1]


@pytest.mark.parametrize(
    ("arguments", "bins"),
    [({}, 1024), ({"dtype": "uint8"}, 256), ({"dtype": "int8"}, 128), ({"workload": "tally"}, 256)],
)
def test_bins_by_default(arguments: dict[str, str], bins: int) -> None:
    assert make_job(**arguments).bins == bins  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"workload": "juggle"}, "no workload 'juggle'; there are bincount, tally"),
        ({"dtype": "float64"}, "no dtype 'float64'; there are int8"),
        ({"dtype": "uint8", "bins": 257}, "too small for 257 bins"),
        ({"bins": 0}, "bins must be from 1"),
        ({"size": 0}, "size must be at least 1"),
        ({"workload": "tally", "bins": 3}, "power of two"),
        ({"workload": "tally", "dtype": "int64"}, "tally has no dtype"),
    ],
)
def test_a_job_that_cannot_be(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_job(**arguments)  # type: ignore[arg-type]
