from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from parcount.costmodel.model import MIN_GAIN, SERIAL, Model, Setup
from parcount.costmodel.parameters import PARAMETERS
from tests.costmodel.synthetic import COSTS, keys, models, setups, synthetic

ALMOST = 1 + 1e-9
"""A sum of floats in another order."""

ENDLESS = 1e40
"""Keys beside which nothing else matters."""


@given(models, setups, keys, keys)
def test_more_keys_never_take_less(model: Model, setup: Setup, few: int, more: int) -> None:
    few, more = sorted((few, more))
    assert 0 <= model.seconds(setup, few) <= model.seconds(setup, more)


@given(models, setups, keys, st.sampled_from(sorted(PARAMETERS)), st.floats(1, 1000))
def test_dearer_steps_never_take_less(model: Model, setup: Setup, n: int, name: str, times: float) -> None:
    dearer = model.costs[name] * times if PARAMETERS[name].kind == "time" else model.costs[name] / times
    other = replace(model, costs={**model.costs, name: dearer})
    assert model.seconds(setup, n) <= other.seconds(setup, n) * ALMOST


@given(models, setups, keys)
def test_sending_and_starting_never_spare_time(model: Model, setup: Setup, n: int) -> None:
    assert model.seconds(replace(setup, sent=False), n) <= model.seconds(replace(setup, sent=True), n) * ALMOST
    assert model.seconds(replace(setup, started=False), n) <= model.seconds(replace(setup, started=True), n) * ALMOST


@given(models, setups, keys)
def test_no_job_is_done_sooner_than_all_its_workers_could_count_or_read_it(model: Model, setup: Setup, n: int) -> None:
    nodes = setup.nodes or 1
    assert model.seconds(setup, n) * ALMOST >= n * model.costs["kernel"] / (setup.workers * nodes)
    assert model.seconds(setup, n) * ALMOST >= n * model.key_bytes / model.costs["read.all"] / nodes


@given(models, setups, setups)
def test_break_even_is_where_the_lines_cross(model: Model, setup: Setup, baseline: Setup) -> None:
    n = model.break_even(setup, baseline)
    if n is None:
        assert model.line(setup).slope >= model.line(baseline).slope
        assert model.seconds(setup, ENDLESS) >= model.seconds(baseline, ENDLESS) / ALMOST
    elif n == 0:
        assert model.seconds(setup, 0) <= model.seconds(baseline, 0) * ALMOST
        assert model.seconds(setup, ENDLESS) <= model.seconds(baseline, ENDLESS) * ALMOST
    else:
        assert model.seconds(setup, n) == pytest.approx(model.seconds(baseline, n), rel=1e-6)
        assert model.seconds(setup, n / 2) >= model.seconds(baseline, n / 2) / ALMOST
        assert model.seconds(setup, 2 * n) <= model.seconds(baseline, 2 * n) * ALMOST


def test_of_two_equally_steep_the_lower_one_pays_at_once() -> None:
    model = synthetic().model
    started = Setup("threads", 4, started=True)
    assert model.break_even(Setup("threads", 4), started) == 0
    assert model.break_even(started, Setup("threads", 4)) is None
    assert model.break_even(SERIAL) is None


@given(models, setups.filter(lambda setup: setup != SERIAL), keys)
def test_enough_is_the_first_of_which_twice_as_many_do_not_pay(model: Model, setup: Setup, n: int) -> None:
    def gain(size: int) -> float:
        return model.seconds(setup.resized(size), n) / model.seconds(setup.resized(2 * size), n)

    most = 300
    found = model.useful_up_to(setup, n, most)
    looked = range(2, most + 1)
    assume(all(abs(gain(size) - MIN_GAIN) > 1e-9 for size in looked))  # rounded, such a tie may go either setup
    first = next((size for size in looked if gain(size) < MIN_GAIN), most + 1)
    if model.seconds(setup.resized(1), n) < MIN_GAIN * model.seconds(setup.resized(first), n):
        assert found == 1
    else:
        assert found == (first if first <= most else None)


@given(models, st.integers(1, 4096))
def test_with_nothing_in_the_way_workers_divide_the_time(model: Model, workers: int) -> None:
    free = {name: 0.0 if parameter.kind == "time" else 1e300 for name, parameter in PARAMETERS.items()}
    model = replace(model, costs={**free, "kernel": model.costs["kernel"]})
    for name in ("threads", "processes"):
        assert model.speedup(Setup(name, workers), 10**6) == pytest.approx(workers)
    assert model.speedup(Setup("threads", 1, nodes=workers), 10**6) == pytest.approx(workers)
    assert model.useful_up_to(Setup("processes"), 10**6) is None


@given(models, st.integers(1, 60))
def test_processes_are_fastest_at_the_square_root_of_what_is_divided_by_what_each_adds(model: Model, root: int) -> None:
    """As docs/cost-model.md says, where memory is no limit."""
    model = replace(model, key_bytes=0)
    costs = model.costs
    each = costs["processes.dispatch"] + model.bins * (costs["merge"] + 8 / costs["processes.pipe"])
    n = root**2 * each / costs["kernel"]
    least = min(range(1, 2 * root + 1), key=lambda workers: model.seconds(Setup("processes", workers), n))
    assert model.seconds(Setup("processes", root), n) == pytest.approx(model.seconds(Setup("processes", least), n))


def test_memory_is_the_ceiling() -> None:
    model = synthetic().model  # 8 bytes a ns each, 32 GB/s for all
    assert model.speedup(Setup("threads", 2), 1e15) == pytest.approx(2)
    assert model.speedup(Setup("threads", 4), 1e15) == pytest.approx(4)
    assert model.speedup(Setup("threads", 128), 1e15) == pytest.approx(4)
    assert model.useful_up_to(Setup("threads"), 1e15) == 4
    assert model.bottleneck(Setup("threads", 8), 1e15) == "read"
    assert model.bandwidth_demand(4) == pytest.approx(32e9)


def test_one_thread_is_the_caller_and_a_node_alone_still_has_its_messages() -> None:
    model = synthetic().model
    assert model.line(Setup("threads", 1)) == model.line(SERIAL)
    assert model.seconds(Setup("threads", 2, nodes=1), 1000) > model.seconds(Setup("threads", 2), 1000)


def test_the_formula_by_hand() -> None:
    """Two processes started for 10 million keys of 8 bytes in 1024 bins, with round costs."""
    line = synthetic().model.line(Setup("processes", 2, sent=True, started=True))
    assert line.constants == pytest.approx(
        {
            "call": 1e-5,
            "start": 0.1 + 2 * 0.02,
            "dispatch": 1e-4 + 2 * 5e-5,
            "table": 1024e-9,
            "merge": 1024e-9 + 2 * 8 * 1024 / 4e9,
        }
    )
    assert line.slope == pytest.approx(8 / 4e9 + 1e-9 / 2)


def test_a_cluster_by_hand() -> None:
    """Five nodes of two threads, the keys sent: three steps of merging, and one more message to the caller."""
    model = synthetic().model
    line = model.line(Setup("threads", 2, sent=True, nodes=5))
    message = 1e-4 + 8 * 1024 / 1.25e9
    assert line.constants["scheduler"] == pytest.approx(5e-3)
    assert line.constants["network"] == pytest.approx(1e-4 + 4 * message + 3 * 1024e-9)
    assert line.slope == pytest.approx(8 / 1.25e9 + 1e-9 / 10)


@pytest.mark.parametrize(
    ("limit", "changed"),
    [
        ("dispatch", {"threads.dispatch": 1.0}),
        ("merge", {"merge": 1.0}),
        ("table", {"table": 1.0}),
        ("count", {"kernel": 1.0}),
        ("read", {"read.one": 1.0, "read.all": 1.0}),
    ],
)
def test_the_limit_is_what_takes_longest(limit: str, changed: dict[str, float]) -> None:
    assert Model({**COSTS, **changed}, 8, 1024).bottleneck(Setup("threads", 2), 1e6) == limit


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"execution": "fibres"}, "no execution 'fibres'; there are serial, threads, processes"),
        ({"execution": "threads", "workers": 0}, "at least 1"),
        ({"execution": "threads", "nodes": 0}, "at least 1"),
        ({"execution": "serial", "workers": 2}, "serial is one worker"),
    ],
)
def test_a_way_that_cannot_be(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Setup(**arguments)  # type: ignore[arg-type]
