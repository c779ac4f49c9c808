from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from parcount.planning.model import SERIAL, WORTH, Model, Way
from parcount.planning.quantities import QUANTITIES
from tests.planning.synthetic import COSTS, keys, models, synthetic, ways

ALMOST = 1 + 1e-9
"""A sum of floats in another order."""

ENDLESS = 1e40
"""Keys beside which nothing else matters."""


@given(models, ways, keys, keys)
def test_more_keys_never_take_less(model: Model, way: Way, few: int, more: int) -> None:
    few, more = sorted((few, more))
    assert 0 <= model.seconds(way, few) <= model.seconds(way, more)


@given(models, ways, keys, st.sampled_from(sorted(QUANTITIES)), st.floats(1, 1000))
def test_dearer_steps_never_take_less(model: Model, way: Way, n: int, name: str, times: float) -> None:
    dearer = model.costs[name] * times if QUANTITIES[name].kind == "time" else model.costs[name] / times
    other = replace(model, costs={**model.costs, name: dearer})
    assert model.seconds(way, n) <= other.seconds(way, n) * ALMOST


@given(models, ways, keys)
def test_sending_and_starting_never_spare_time(model: Model, way: Way, n: int) -> None:
    assert model.seconds(replace(way, sent=False), n) <= model.seconds(replace(way, sent=True), n) * ALMOST
    assert model.seconds(replace(way, started=False), n) <= model.seconds(replace(way, started=True), n) * ALMOST


@given(models, ways, keys)
def test_no_job_is_done_sooner_than_all_its_workers_could_count_or_read_it(model: Model, way: Way, n: int) -> None:
    nodes = way.nodes or 1
    assert model.seconds(way, n) * ALMOST >= n * model.costs["kernel"] / (way.workers * nodes)
    assert model.seconds(way, n) * ALMOST >= n * model.key_bytes / model.costs["read.all"] / nodes


@given(models, ways, ways)
def test_break_even_is_where_the_lines_cross(model: Model, way: Way, against: Way) -> None:
    n = model.break_even(way, against)
    if n is None:
        assert model.line(way).slope >= model.line(against).slope
        assert model.seconds(way, ENDLESS) >= model.seconds(against, ENDLESS) / ALMOST
    elif n == 0:
        assert model.seconds(way, 0) <= model.seconds(against, 0) * ALMOST
        assert model.seconds(way, ENDLESS) <= model.seconds(against, ENDLESS) * ALMOST
    else:
        assert model.seconds(way, n) == pytest.approx(model.seconds(against, n), rel=1e-6)
        assert model.seconds(way, n / 2) >= model.seconds(against, n / 2) / ALMOST
        assert model.seconds(way, 2 * n) <= model.seconds(against, 2 * n) * ALMOST


def test_of_two_equally_steep_the_lower_one_pays_at_once() -> None:
    model = synthetic().model
    started = Way("threads", 4, started=True)
    assert model.break_even(Way("threads", 4), started) == 0
    assert model.break_even(started, Way("threads", 4)) is None
    assert model.break_even(SERIAL) is None


@given(models, ways.filter(lambda way: way != SERIAL), keys)
def test_enough_is_the_first_of_which_twice_as_many_do_not_pay(model: Model, way: Way, n: int) -> None:
    def gain(size: int) -> float:
        return model.seconds(way.resized(size), n) / model.seconds(way.resized(2 * size), n)

    most = 300
    found = model.enough(way, n, most)
    looked = range(2, most + 1)
    assume(all(abs(gain(size) - WORTH) > 1e-9 for size in looked))  # rounded, such a tie may go either way
    first = next((size for size in looked if gain(size) < WORTH), most + 1)
    if model.seconds(way.resized(1), n) < WORTH * model.seconds(way.resized(first), n):
        assert found == 1
    else:
        assert found == (first if first <= most else None)


@given(models, st.integers(1, 4096))
def test_with_nothing_in_the_way_workers_divide_the_time(model: Model, workers: int) -> None:
    free = {name: 0.0 if quantity.kind == "time" else 1e300 for name, quantity in QUANTITIES.items()}
    model = replace(model, costs={**free, "kernel": model.costs["kernel"]})
    for name in ("threads", "processes"):
        assert model.speedup(Way(name, workers), 10**6) == pytest.approx(workers)
    assert model.speedup(Way("threads", 1, nodes=workers), 10**6) == pytest.approx(workers)
    assert model.enough(Way("processes"), 10**6) is None


@given(models, st.integers(1, 60))
def test_processes_are_fastest_at_the_square_root_of_what_is_divided_by_what_each_adds(model: Model, root: int) -> None:
    """As docs/how-far.md says, where memory is no limit."""
    model = replace(model, key_bytes=0)
    costs = model.costs
    each = costs["processes.dispatch"] + model.bins * (costs["merge"] + 8 / costs["processes.pipe"])
    n = root**2 * each / costs["kernel"]
    least = min(range(1, 2 * root + 1), key=lambda workers: model.seconds(Way("processes", workers), n))
    assert model.seconds(Way("processes", root), n) == pytest.approx(model.seconds(Way("processes", least), n))


def test_memory_is_the_ceiling() -> None:
    model = synthetic().model  # 8 bytes a ns each, 32 GB/s for all
    assert model.speedup(Way("threads", 2), 1e15) == pytest.approx(2)
    assert model.speedup(Way("threads", 4), 1e15) == pytest.approx(4)
    assert model.speedup(Way("threads", 128), 1e15) == pytest.approx(4)
    assert model.enough(Way("threads"), 1e15) == 4
    assert model.limit(Way("threads", 8), 1e15) == "read"
    assert model.appetite(4) == pytest.approx(32e9)


def test_one_thread_is_the_caller_and_a_node_alone_still_has_its_messages() -> None:
    model = synthetic().model
    assert model.line(Way("threads", 1)) == model.line(SERIAL)
    assert model.seconds(Way("threads", 2, nodes=1), 1000) > model.seconds(Way("threads", 2), 1000)


def test_the_formula_by_hand() -> None:
    """Two processes started for 10 million keys of 8 bytes in 1024 bins, with round costs."""
    line = synthetic().model.line(Way("processes", 2, sent=True, started=True))
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
    line = model.line(Way("threads", 2, sent=True, nodes=5))
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
    assert Model({**COSTS, **changed}, 8, 1024).limit(Way("threads", 2), 1e6) == limit


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
        Way(**arguments)  # type: ignore[arg-type]
