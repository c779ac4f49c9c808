from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from parcount.costmodel.figure import draw
from parcount.costmodel.jobs import make_job
from parcount.costmodel.model import SERIAL, Setup
from tests.costmodel.synthetic import synthetic


def test_a_line_for_each_setup_that_crosses_one_where_it_pays() -> None:
    plan = synthetic()
    (axes,) = draw(plan).axes
    labels = ["2 threads", "2 processes, shared", "2 processes, sent", "10 nodes", "10 nodes, sent"]
    assert {text.get_text() for text in axes.texts} == {*labels, "this job"}
    sizes, speeds = axes.lines[0].get_data()
    crossing = np.interp(0.0, np.log(speeds), np.log(sizes))
    assert np.exp(crossing) == pytest.approx(plan.predict(Setup("threads", 2)).break_even, rel=0.05)


def test_the_job_of_the_plan_is_marked_and_lines_have_its_speedups() -> None:
    plan = synthetic(make_job("tally", size=10**5))
    (axes,) = draw(plan).axes
    assert any(set(line.get_xdata()) == {10**5} for line in axes.lines)
    sizes, speeds = axes.lines[0].get_data()
    size = sizes[30]
    expected = plan.model.seconds(SERIAL, size) / plan.model.seconds(Setup("threads", 2), size)
    assert speeds[30] == pytest.approx(expected)


def test_intervals_of_costs_are_a_band() -> None:
    plan = synthetic()
    kernel = replace(plan.costs["kernel"], low=0.5e-9, high=2e-9)
    (axes,) = draw(replace(plan, costs={**plan.costs, "kernel": kernel})).axes
    heights = axes.collections[0].get_paths()[0].get_extents()
    assert heights.height > 0
