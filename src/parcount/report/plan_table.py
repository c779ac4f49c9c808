"""A plan in the terminal: the costs, the predictions, and what follows."""

from __future__ import annotations

import math
import sys
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from parcount.planning.costs import MEASURED
from parcount.planning.model import WORTH, Way
from parcount.planning.quantities import QUANTITIES, spoken, with_unit
from parcount.planning.result import Plan, Prediction
from parcount.report.terminal import WIDTH_OF_A_FILE
from parcount.studies.verdict import in_words


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
    console.print(Text(_legend(plan), style="dim"))
    console.print()
    console.print(Text(first, style="bold"))
    for sentence in others:
        console.print(Text(sentence))


def _costs(plan: Plan, *, intervals: bool) -> Table:
    """A row for each cost; where it was measured, with the 95 % interval of the median."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("cost", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("95 % interval" if intervals else "", no_wrap=True, style="dim")
    table.add_column("of what")
    for name, cost in plan.costs.items():
        source = cost.source
        if intervals and source == MEASURED:
            source = f"{spoken(name, cost.low)} – {spoken(name, cost.high)}"
        table.add_row(name, spoken(name, cost.value), source, QUANTITIES[name].what)
    return table


def _predictions(plan: Plan) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("on", no_wrap=True)
    for name in ("", "takes", "faster", "pays from", "started", "enough"):
        table.add_column(name, justify="right", no_wrap=True)
    before = None
    for one in plan.predictions:
        name = _road(one.way, keys=bool(plan.job.key_bytes))
        table.add_row(
            name if name != before else "",
            f"{one.way.size}{'*' if one.way.nodes or one.way.size > plan.cores else ''}",
            with_unit(one.seconds),
            f"{one.speedup:.2f}×",
            _even(one.pays_from),
            _even(one.pays_started) if one.way.nodes is None else "",
            "" if name == before else _enough(one),
        )
        before = name
    return table


def _road(way: Way, *, keys: bool) -> str:
    name = way.execution if way.nodes is None else "nodes"
    if not keys or name == "threads":
        return name
    return f"{name}, keys {'sent' if way.sent else 'there' if way.nodes else 'shared'}"


def _even(keys: float | None) -> str:
    if keys is None:
        return "never"
    return in_words(math.ceil(keys)) if keys >= 1 else "at once"


def _enough(one: Prediction) -> str:
    return "no end" if one.enough is None else str(one.enough)


def _legend(plan: Plan) -> str:
    cores = f"{plan.cores} core{'s' if plan.cores > 1 else ''}"
    return (
        "faster: than one core; nodes: than one such machine with all its cores. pays from: keys from which it is,\n"
        "the workers being there already; started: if they are started for the job. enough: twice as many make this\n"
        f"job less than {WORTH:g} times as fast.\n"
        f"* extrapolated: the costs are of {cores}; a node is a machine like it.\n"
        f"{plan.machine}"
    )
