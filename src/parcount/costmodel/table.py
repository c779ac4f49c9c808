"""Print a plan in the terminal: the costs, the predictions and the summary."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from parcount.costmodel.costs import MEASURED
from parcount.costmodel.model import MIN_GAIN, Setup
from parcount.costmodel.parameters import PARAMETERS, format_cost, format_value
from parcount.costmodel.result import Plan, Prediction
from parcount.report.terminal import WIDTH_OF_A_FILE
from parcount.report.units import in_words


def show(plan: Plan, stream: TextIO) -> None:
    """Print a plan."""
    console = Console(file=stream, highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, WIDTH_OF_A_FILE)
    first, *others = plan.sentences
    console.print()
    costs = _costs(plan, intervals=True)
    if console.measure(costs, options=console.options.update(max_width=sys.maxsize)).maximum > console.width:
        costs = _costs(plan, intervals=False)
    console.print(costs)
    console.print()
    console.print(_predictions(plan))
    console.print(Text(legend(plan), style="dim"))
    console.print()
    console.print(Text(first, style="bold"))
    for sentence in others:
        console.print(Text(sentence))


def _costs(plan: Plan, *, intervals: bool) -> Table:
    """One row per cost; measured costs with the 95 % interval of the median."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("cost", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("95 % interval" if intervals else "", no_wrap=True, style="dim")
    table.add_column("meaning")
    for name, cost in plan.costs.items():
        source = cost.source
        if intervals and source == MEASURED:
            source = f"{format_cost(name, cost.low)} – {format_cost(name, cost.high)}"
        table.add_row(name, format_cost(name, cost.value), source, PARAMETERS[name].what)
    return table


HEADER = ("on", "", "time", "speedup", "pays from", "started", "useful")


def rows(plan: Plan) -> Iterator[tuple[str, ...]]:
    """The predictions as text, one row per setup, in the columns of `HEADER`."""
    before = None
    for one in plan.predictions:
        name = _label(one.setup, keys=bool(plan.job.key_bytes))
        yield (
            name if name != before else "",
            f"{one.setup.size}{'*' if one.setup.nodes or one.setup.size > plan.cores else ''}",
            format_value(one.seconds),
            f"{one.speedup:.2f}×",
            _break_even(one.break_even),
            _break_even(one.break_even_started) if one.setup.nodes is None else "",
            "" if name == before else _useful_up_to(one),
        )
        before = name


def _predictions(plan: Plan) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in HEADER:
        table.add_column(name, justify="left" if name == "on" else "right", no_wrap=True)
    for row in rows(plan):
        table.add_row(*row)
    return table


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


def _useful_up_to(one: Prediction) -> str:
    return "no limit" if one.useful_up_to is None else str(one.useful_up_to)


def legend(plan: Plan) -> str:
    """The meaning of the columns of `HEADER`, and the machine."""
    cores = f"{plan.cores} core{'s' if plan.cores > 1 else ''}"
    text = (
        "speedup: against one core; of nodes, against all cores of one machine. pays from: number of keys from which "
        "the speedup exceeds 1 with running workers; started: with workers that are started for the job. useful: "
        f"number of workers that, doubled, makes this job less than {MIN_GAIN:g} times as fast."
    )
    if plan.job.key_bytes:
        text += " shared: the keys are in shared memory or a mapped file; sent: they have to be sent."
    return f"{text}\n* extrapolated from the costs of {cores}; a node is a machine like this one.\n{plan.machine}"
