"""The causes, on machines where they are known."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parcount.studies.core.claims import Cause
from parcount.studies.core.statistics import Estimate
from parcount.studies.scale import verdict
from parcount.studies.scale.causes import diagnose
from parcount.studies.scale.runs import all_runs, statement_on
from tests.studies.scale.machine import Call, Machine, cell


def causes(machine: Machine, rounds: int = 20) -> list[Cause]:
    found = machine.findings(rounds)
    return diagnose(found, verdict.claims(found))


def names(machine: Machine, rounds: int = 20) -> list[str]:
    return [cause.cause for cause in causes(machine, rounds)]


@pytest.mark.parametrize("cores", [2, 4, 16])
@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (Call(released=1.0), ["scales"]),
        (Call(released=0.99, python=0.01), ["scales"]),
        (Call(python=1.0), ["gil"]),
        (Call(python=1.0, locked=1.0), ["gil"]),
        (Call(released=1.0, locked=1.0), ["lock"]),
        (Call(released=1.0, shared=2.0), ["shared-objects"]),
        (Call(released=1.0, hardware=1.0), ["memory"]),
        (Call(released=1.0, outside=1.0), ["serial-part"]),
        (Call(python=1.0, outside=1.0), ["serial-part"]),
        (Call(waits=1.0), ["waiting"]),
        (Call(waits=1.0, locked=1.0), ["lock"]),
        (Call(waits=1.0, locked=0.3), ["lock", "waiting"]),
        (Call(waits=1.0, outside=1.0), ["serial-part"]),
        (Call(python=1.0, transport=10.0), ["gil", "startup"]),
    ],
)
def test_names_the_cause(call: Call, expected: list[str], cores: int) -> None:
    assert names(Machine(call, cores)) == expected


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (Call(python=1.0), ["scales"]),
        (Call(python=1.0, locked=1.0), ["lock"]),
        (Call(python=1.0, shared=2.0), ["shared-objects"]),
    ],
)
def test_without_a_gil(call: Call, expected: list[str]) -> None:
    assert names(Machine(call, gil=False)) == expected


def test_two_causes_have_their_shares_of_what_is_lost() -> None:
    # Of 4 threads, the lock lets through one call a millisecond; each takes 2.5 ms of CPU time.
    machine = Machine(Call(released=1.0, locked=1.0, shared=0.5))
    first, second = causes(machine)
    assert {first.cause, second.cause} == {"lock", "shared-objects"}
    assert first.share is not None
    assert second.share is not None
    assert first.share >= second.share
    assert first.share + second.share == pytest.approx(1, abs=0.05)
    assert {first.cause: first.share, second.cause: second.share}["lock"] == pytest.approx(0.5, abs=0.05)


def test_a_message_of_a_few_bytes_is_no_cause() -> None:
    machine = Machine(Call(python=0.001, transport=0.001))
    assert machine.sample(cell()).evidence["sent_bytes"] < 4096
    assert names(machine) == ["gil"]


def test_the_machine_is_named_if_the_control_gains_nothing() -> None:
    assert names(Machine(Call(python=1.0), given=1.0)) == ["machine"]
    assert names(Machine(Call(released=1.0), given=1.0)) == ["machine"]
    assert names(Machine(Call(python=1.0), cores=1)) == ["machine"]


@pytest.mark.parametrize(("call", "expected"), [(Call(python=1.0), "undecided"), (Call(released=1.0), "scales")])
def test_workers_that_gain_nothing_do_not_nearly_scale(call: Call, expected: str) -> None:
    # This machine gives so little that two threads which are as fast as one are not far from it.
    found = Machine(call, cores=2, given=1.38).findings()
    (runs,) = all_runs(found)
    assert runs.threads is not None
    statement, doubtful = statement_on(runs, runs.threads), Estimate(0.76, 0.71, 0.9)
    claims = [
        replace(claim, estimate=doubtful, holds=None) if claim.statement == statement else claim
        for claim in verdict.claims(found)
    ]
    assert [cause.cause for cause in diagnose(found, claims)] == [expected]


def test_waiting_does_not_need_what_the_machine_gives() -> None:
    assert names(Machine(Call(waits=1.0), given=1.0)) == ["waiting"]


def test_waiting_ends_where_the_cores_are_busy() -> None:
    machine = Machine(Call(waits=1.0, released=0.2), cores=2)
    (cause,) = causes(machine)
    assert cause.cause == "waiting"
    assert cause.evidence["threads_speedup"] == pytest.approx(8, rel=0.1)  # 8 threads use two cores for 1.6 ms
    assert {*names(Machine(Call(waits=1.0, python=0.5), cores=2))} == {"waiting", "gil"}


def test_a_few_rounds_decide_nothing() -> None:
    assert names(Machine(Call(python=1.0)), rounds=5) == ["undecided"]


def test_without_processes_a_lock_is_undecided_and_the_gil_is_not() -> None:
    assert names(Machine(Call(released=1.0, locked=1.0), executions=("threads",))) == ["undecided"]
    assert names(Machine(Call(python=1.0), executions=("threads",))) == ["gil"]
    assert names(Machine(Call(released=1.0), executions=("threads",))) == ["scales"]


def test_serial_share_is_amdahls() -> None:
    (cause,) = causes(Machine(Call(released=1.0, outside=1.0), noise=0.0))
    assert cause.evidence["serial_share_median"] == pytest.approx(1.0)
    assert cause.evidence["threads_speedup"] == pytest.approx(1.0)


@given(
    st.sampled_from(["scales", "gil", "lock", "shared-objects", "memory", "serial-part"]),
    st.integers(2, 8),
    st.floats(0.1, 100),
    st.floats(0.0, 0.1),
    st.integers(0, 1000),
)
def test_noise_makes_no_other_cause(kind: str, cores: int, size: float, noise: float, seed: int) -> None:
    call = {
        "scales": Call(released=size),
        "gil": Call(python=size),
        "lock": Call(released=size, locked=size),
        "shared-objects": Call(released=size, shared=2 * size),
        "memory": Call(released=size, hardware=size),
        "serial-part": Call(released=size, outside=size),
    }[kind]
    assert names(Machine(call, cores, noise=noise, random=random.Random(seed)))[0] in (kind, "undecided")
