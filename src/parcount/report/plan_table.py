"""A plan in the terminal: the costs, the predictions, and what follows."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
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
    console.print(Text(legend(plan), style="dim"))
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


HEAD = ("on", "", "takes", "faster", "pays from", "started", "enough")


def rows(plan: Plan) -> Iterator[tuple[str, ...]]:
    """What is predicted, in words: a row for each way, in the columns of `HEAD`."""
    before = None
    for one in plan.predictions:
        name = _road(one.way, keys=bool(plan.job.key_bytes))
        yield (
            name if name != before else "",
            f"{one.way.size}{'*' if one.way.nodes or one.way.size > plan.cores else ''}",
            with_unit(one.seconds),
            f"{one.speedup:.2f}×",
            _even(one.pays_from),
            _even(one.pays_started) if one.way.nodes is None else "",
            "" if name == before else _enough(one),
        )
        before = name


def _predictions(plan: Plan) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in HEAD:
        table.add_column(name, justify="left" if name == "on" else "right", no_wrap=True)
    for row in rows(plan):
        table.add_row(*row)
    return table


def _road(way: Way, *, keys: bool) -> str:
    if way.nodes is not None:
        return "nodes, sent" if way.sent else "nodes"
    if way.execution != "processes" or not keys:
        return way.execution
    return f"{way.execution}, {'sent' if way.sent else 'shared'}"


def _even(keys: float | None) -> str:
    if keys is None:
        return "never"
    return in_words(math.ceil(keys)) if keys >= 1 else "at once"


def _enough(one: Prediction) -> str:
    return "no end" if one.enough is None else str(one.enough)


def legend(plan: Plan) -> str:
    """What the columns of `HEAD` mean, and the machine."""
    cores = f"{plan.cores} core{'s' if plan.cores > 1 else ''}"
    text = (
        "faster: than one core; nodes: than one such machine with all its cores. pays from: keys from which it is, the "
        "workers being there already; started: if they are started for the job. enough: twice as many make this job "
        f"less than {WORTH:g} times as fast."
    )
    if plan.job.key_bytes:
        text += " shared: the keys lie in shared memory or a mapped file; sent: they have to be sent."
    return f"{text}\n* extrapolated: the costs are of {cores}; a node is a machine like it.\n{plan.machine}"
