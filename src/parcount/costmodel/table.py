"""Print a plan in the terminal: the costs, the predictions and the summary."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TextIO

from rich.table import Table

from parcount.costmodel.costs import MEASURED
from parcount.costmodel.model import MIN_GAIN, Setup
from parcount.costmodel.parameters import PARAMETERS, format_cost, format_value
from parcount.costmodel.result import Plan
from parcount.report.terminal import make_table, open_console, print_legend, print_sentences, print_table
from parcount.report.units import in_words, plural


def show(plan: Plan, stream: TextIO) -> None:
    """Print a plan."""
    console = open_console(stream)
    print_table(console, "", _costs(plan, intervals=True), _costs(plan, intervals=False))
    predictions = make_table(HEADER, rows(plan), HEADER[:1])
    print_table(console, "", predictions, predictions)
    print_legend(console, [legend(plan)])
    print_sentences(console, plan.sentences)


def _costs(plan: Plan, *, intervals: bool) -> Table:
    """One row per cost; measured costs with the 95 % interval of the median."""
    interval = "95 % interval" if intervals else " "
    sources = {
        name: f"{format_cost(name, cost.low)} – {format_cost(name, cost.high)}"
        if intervals and cost.source == MEASURED
        else cost.source
        for name, cost in plan.costs.items()
    }
    found = [
        (name, format_cost(name, cost.value), sources[name], PARAMETERS[name].what) for name, cost in plan.costs.items()
    ]
    return make_table(["cost", "", interval, "meaning"], found, ("cost", interval), wrapped="meaning")


HEADER = ("on", "", "time", "speedup", "pays from", "started", "useful")


def rows(plan: Plan) -> Iterator[tuple[str, ...]]:
    """Yield the predictions as text, one row per setup, in the columns of `HEADER`."""
    before = None
    for one in plan.predictions:
        setup = one.setup
        name = _label(setup, keys=bool(plan.job.key_bytes))
        yield (
            "" if name == before else name,
            f"{setup.size}{'*' if setup.nodes or setup.size > plan.cores else ''}",
            format_value(one.seconds),
            f"{one.speedup:.2f}×",
            _break_even(one.break_even),
            _break_even(one.break_even_started) if setup.nodes is None else "",
            "" if name == before else str(one.useful_up_to or "no limit"),
        )
        before = name


def _label(setup: Setup, *, keys: bool) -> str:
    if setup.nodes is not None:
        return "nodes, sent" if setup.sent else "nodes"
    if setup.execution != "processes" or not keys:
        return setup.execution
    return f"{setup.execution}, {'sent' if setup.sent else 'shared'}"


def _break_even(keys: float | None) -> str:
    if keys is None:
        return "never"
    return in_words(math.ceil(keys)) if keys >= 1 else "any size"


def legend(plan: Plan) -> str:
    """The meaning of the columns of `HEADER`, and the machine."""
    text = (
        "speedup: against one core; of nodes, against all cores of one machine. pays from: number of keys from which "
        "the speedup exceeds 1 with running workers; started: with workers that are started for the job. useful: "
        f"number of workers that, doubled, makes this job less than {MIN_GAIN:g} times as fast."
    )
    if plan.job.key_bytes:
        text += " shared: the keys are in shared memory or a mapped file; sent: they have to be sent."
    extrapolated = f"* extrapolated from the costs of {plural(plan.cores, 'core')}; a node is a machine like this one."
    return f"{text}\n{extrapolated}\n{plan.machine}"
