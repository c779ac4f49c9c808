from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parcount.costmodel.parameters import PARAMETERS, RATES, SECONDS, format_cost, parse_assignment, parse_cost

NAMES = st.sampled_from(sorted(PARAMETERS))


@given(NAMES, st.floats(1e-12, 1e12))
def test_what_is_printed_can_be_given(name: str, value: float) -> None:
    assert parse_cost(name, format_cost(name, value)) == pytest.approx(value, rel=0.006)


@given(NAMES, st.integers(1, 999), st.data())
def test_every_unit_of_its_kind_is_understood_and_no_other(name: str, number: int, data: st.DataObject) -> None:
    ours, others = (SECONDS, RATES) if PARAMETERS[name].kind == "time" else (RATES, SECONDS)
    unit, other = data.draw(st.sampled_from(sorted(ours))), data.draw(st.sampled_from(sorted(others)))
    assert parse_assignment(f"{name}={number}{unit}") == (name, pytest.approx(number * ours[unit]))
    assert parse_assignment(f" {name} = {number}.50 {unit} ")[1] == pytest.approx((number + 0.5) * ours[unit])
    with pytest.raises(ValueError, match=f"{name} takes a number with a unit"):
        parse_assignment(f"{name}={number}{other}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kernel", "given as name=value"),
        ("colonel=1ns", "no cost 'colonel'; there are call, kernel"),
        ("kernel=", "kernel takes a number with a unit"),
        ("kernel=0.3", "kernel takes a number with a unit, such as 0.3ns"),
        ("kernel=ns", "kernel takes a number with a unit"),
        ("kernel=-1ns", "kernel takes a number with a unit"),
        ("kernel=nan ns", "kernel takes a number with a unit"),
        ("kernel=1 fortnight", "kernel takes a number with a unit"),
        ("kernel=0ns", "kernel must be more than 0"),
        ("read.all=0GB/s", "read.all must be more than 0"),
        ("network.rate=1e999Gbit/s", "network.rate must be more than 0"),
    ],
)
def test_invalid_values_raise_and_name_the_cost(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_assignment(text)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_numbers_that_no_cost_can_have(value: float) -> None:
    with pytest.raises(ValueError, match=r"merge must be at least 0"):
        parse_cost("merge", value)


def test_a_time_may_be_nothing() -> None:
    assert parse_cost("merge", "0s") == 0
    assert parse_cost("network.rate", "10 Gbit/s") == PARAMETERS["network.rate"].assumed == 1.25e9
