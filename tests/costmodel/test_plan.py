from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import parcount as pc
from parcount.costmodel.costs import ASSUMED, GIVEN, MEASURED, Cost, unmeasured
from parcount.costmodel.jobs import make_job
from parcount.costmodel.model import SERIAL, Setup
from parcount.costmodel.parameters import PARAMETERS
from tests.costmodel.synthetic import COSTS, costs, synthetic


def test_with_all_costs_given_nothing_is_measured() -> None:
    plan = pc.plan(workers=[4, 2, 4], nodes=3, size=10**9, costs=COSTS)
    assert plan.workers == (2, 4)
    assert plan.nodes == (3,)
    assert plan.costs["kernel"] == unmeasured(1e-9, GIVEN)
    assert plan.costs["network.rate"] == unmeasured(1.25e9, ASSUMED)
    assert plan.model.seconds(SERIAL, 10**9) == pytest.approx(1, rel=1e-3)


def test_by_default_it_looks_at_all_cores_here_at_more_and_at_clusters() -> None:
    plan = pc.plan(costs=COSTS)
    assert {1, pc.available_cores(), 16, 128} <= set(plan.workers)
    assert plan.nodes == (10, 100, 1000)
    assert plan.job == make_job("bincount", "int64", 1024, 100_000_000)


def test_a_prediction_for_every_setup_and_number() -> None:
    predictions = synthetic().predictions
    assert [(one.setup.execution, one.setup.workers, one.setup.sent, one.setup.nodes) for one in predictions] == [
        (execution, workers, sent, None)
        for execution, sent in [("threads", False), ("processes", False), ("processes", True)]
        for workers in (2, 16)
    ] + [("threads", 2, sent, nodes) for sent in (False, True) for nodes in (10, 100)]
    two = predictions[0]
    assert two.baseline == SERIAL
    assert two.break_even == pytest.approx((2e-5 + 2e-5 + 1024e-9) / 0.5e-9)
    assert two.break_even_started is not None
    assert two.break_even_started > two.break_even
    assert predictions[-1].baseline == Setup("threads", 2)


def test_no_keys_no_sending() -> None:
    plan = synthetic(make_job("tally"))
    assert not any(one.setup.sent for one in plan.predictions)
    assert "sen" not in str(plan)


@given(costs, st.integers(1, 1 << 50))
def test_any_costs_can_be_summarized_in_words(costs: dict[str, float], size: int) -> None:
    plan = synthetic(replace(make_job(), size=size))
    plan = replace(plan, costs={name: unmeasured(value, GIVEN) for name, value in costs.items()})
    assert len(plan.sentences) >= 5
    assert all(sentence.endswith(".") for sentence in plan.sentences)


def test_the_words_say_what_the_numbers_do() -> None:
    sentences = synthetic().sentences
    assert sentences[0] == "bincount of 10 000 000 int64 keys in 1 024 bins: 10 ms on one core."
    assert sentences[1] == "Threads pay from 82 thousand keys on; 2 threads run this job 1.98 times as fast as one."
    assert "and never if they have to be sent: a key takes 2 ns to send and 1 ns to count here." in sentences[3]
    assert "16 cores could read 128 GB/s" in " ".join(sentences)
    assert sentences[-1] == "Assumed, not measured: network.rate 1.25 GB/s, network.latency 100 µs, network.task 1 ms."


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"threads_latency": 10.0}, "Threads pay from 20 billion keys on."),
        ({"read_one": 1e9, "read_all": 1e9}, "2 threads are never faster than one."),
        ({"read_one": 1e9, "read_all": 1e9}, "Processes never pay."),
        ({"processes_pipe": 400e9}, " keys on if they have to be sent."),
        ({"threads_dispatch": 1.0}, "1 thread is enough for this job: twice as many are less than 1.1 times as fast."),
        ({"read_all": 1e30, "read_one": 1e20, "threads_dispatch": 0.0, "merge": 0.0, "kernel": 1.0}, "and beyond."),
        ({"network_rate": 1e15}, "Sending the keys to the nodes pays from"),
        ({"kernel": 1e-15, "read_one": 1e29, "read_all": 1e30}, "like this machine pay from"),
    ],
)
def test_the_words_for_other_costs(changed: dict[str, float], words: str) -> None:
    assert words in str(synthetic(**changed))


def test_wide_intervals_are_told() -> None:
    plan = synthetic()
    setup = Setup("threads", 2)
    assert plan.interval(setup) == (plan.model.seconds(setup, plan.job.size),) * 2
    assert "intervals" not in str(plan)
    wide = replace(plan, costs={**plan.costs, "kernel": Cost(1e-9, 0.5e-9, 4e-9, MEASURED)})
    low, high = wide.interval(setup)
    assert low == pytest.approx(2.5e-3, rel=0.1)
    assert high == pytest.approx(20e-3, rel=0.1)
    assert "The intervals of the costs allow 2.55 ms to 20.1 ms for 2 threads:" in str(wide)


@given(costs, st.floats(1, 10))
def test_what_the_intervals_leave_holds_the_prediction(costs: dict[str, float], times: float) -> None:
    known = {name: Cost(value, value / times, value * times, MEASURED) for name, value in costs.items()}
    plan = replace(synthetic(), costs=known)
    for one in plan.predictions:
        low, high = plan.interval(one.setup)
        assert low <= one.seconds <= high


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    plan = synthetic()
    plan.save(tmp_path / "a.json")
    again = pc.Plan.load(tmp_path / "a.json")
    assert again == plan
    assert again.predictions == plan.predictions
    content = json.loads((tmp_path / "a.json").read_text())
    assert [one["speedup"] for one in content["predictions"]] == [one.speedup for one in plan.predictions]


def test_saved_costs_with_other_wishes(tmp_path: Path) -> None:
    synthetic().save(tmp_path / "a.json")
    same = pc.plan(saved=tmp_path / "a.json", workload="bincount", dtype="int64", bins=1024)
    assert same == synthetic()
    other = pc.plan(saved=tmp_path / "a.json", size=7, workers=3, nodes=[2], costs={"merge": "2 ns"})
    assert (other.job.size, other.workers, other.nodes) == (7, (3,), (2,))
    assert other.costs == {**same.costs, "merge": unmeasured(pytest.approx(2e-9), GIVEN)}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"bins": 5}, "for another bins measure again"),
        ({"dtype": "int8"}, "for another dtype measure again"),
        ({"workload": "tally"}, "for another workload measure again"),
        ({"size": 0}, "size must be at least 1"),
        ({"size": 10**400}, "at most 2"),
        ({"nodes": 10**400}, "at most 1000000"),
        ({"costs": {"kernel": 1e300}}, r"at most 1e\+30"),
        ({"workers": 0}, "workers must be at least 1"),
        ({"nodes": []}, "no number"),
        ({"seconds": 0}, "more than 0 seconds"),
        ({"costs": {"kernel": "fast"}}, "kernel takes a number with a unit"),
        ({"costs": {"rumour": 1}}, "no cost 'rumour'"),
    ],
)
def test_wishes_that_are_refused(asked: dict[str, Any], message: str, tmp_path: Path) -> None:
    synthetic().save(tmp_path / "a.json")
    with pytest.raises(ValueError, match=message):
        pc.plan(saved=tmp_path / "a.json", **asked)


def spoil(content: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split("/")
    for parent in parents:
        content = content[parent]
    if value is None:
        del content[last]
    else:
        content[last] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("schema", 2, "was written by a newer version of parcount: it has schema 2, and this version reads 1"),
        ("schema", 0, "was written by an older version of parcount: .* measure again"),
        ("schema", None, "is not a file of parcount plan"),
        ("costs", None, "is not a file of parcount plan"),
        ("costs/kernel", None, r"costs\.kernel is missing"),
        ("costs/kernel/value", -1, "kernel must be more than 0"),
        ("costs/kernel/low", "much", r"costs\.kernel\.low must be a number, not 'much'"),
        ("costs/kernel/high", float("nan"), "is not JSON: NaN is not a number"),
        ("costs/kernel/source", "rumour", "the source of kernel is one of measured, given, assumed, not 'rumour'"),
        ("job/bins", 0, "job.bins is out of range"),
        ("job/dtype", "float32", "no dtype 'float32'"),
        ("workers", [0], r"workers\[0\] is out of range: 0"),
        ("nodes", "many", "nodes must be a list, not 'many'"),
        ("environment/cores/available", None, r"environment\.cores\.available is missing"),
        ("environment/python", 3, r"environment\.python must be an object, not 3"),
    ],
)
def test_a_file_that_is_none_is_refused(path: str, value: Any, message: str, tmp_path: Path) -> None:
    content = synthetic().content()
    spoil(content, path, value)
    file = tmp_path / "a.json"
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message) as caught:
        pc.Plan.load(file)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "is empty"), ("[]", "is not a file of parcount plan"), ("7", "is not a file of"), ("{", "is not complete")],
)
def test_what_is_no_json_object_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=rf"a\.json {message}"):
        pc.Plan.load(tmp_path / "a.json")


def test_fields_of_a_later_version_are_ignored(tmp_path: Path) -> None:
    plan = synthetic()
    content = plan.content()
    content["job"]["colour"] = content["costs"]["kernel"]["mood"] = content["weather"] = "fine"
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert pc.Plan.load(tmp_path / "a.json") == plan


def test_every_cost_has_its_place_in_a_plan() -> None:
    assert list(synthetic().costs) == list(PARAMETERS)
