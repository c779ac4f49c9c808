"""Print a plan in the terminal: the costs, the predictions and the summary."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from io import StringIO
from typing import TYPE_CHECKING, TextIO

from parcount.costmodel.costs import MEASURED
from parcount.costmodel.model import MIN_GAIN, Setup
from parcount.costmodel.parameters import PARAMETERS, format_cost, format_value
from parcount.report.table import Column, Table
from parcount.report.terminal import open_console, print_answer, print_legend, print_sentences, print_table
from parcount.report.units import in_words, plural
from parcount.studies.core.tables import INTERVAL

if TYPE_CHECKING:
    from rich.console import Console

    from parcount.costmodel.result import Plan


def show(plan: Plan, stream: TextIO) -> None:
    """Print a plan: the job, the predictions, the costs, and the other sentences."""
    console = open_console(stream)
    answer, *others = plan.sentences
    print_answer(console, answer)
    _print_tables(console, plan)
    print_sentences(console, others)


def table_text(plan: Plan, width: int) -> str:
    """Return the tables of a plan, and what their columns mean, as text."""
    _print_tables(open_console(text := StringIO(), width), plan)
    return text.getvalue().strip("\n")


def _print_tables(console: Console, plan: Plan) -> None:
    for table in tables(plan):
        print_table(console, table)
    print_legend(console, legend(plan))


def tables(plan: Plan) -> tuple[Table, Table]:
    """Return the table of the predictions, and that of the costs."""
    predictions = [
        Column("on", left=True),
        Column("number"),
        *(Column(name, rank) for rank, name in enumerate(("time", "speedup", "pays from", "started", "useful"), 1)),
    ]
    costs = [
        Column("cost", left=True),
        Column("value", 1),
        Column(INTERVAL, 3, left=True),
        Column("meaning", 2, left=True, least=24),
    ]
    return Table("predictions", predictions, [*rows(plan)]), Table("costs", costs, [*_costs(plan)])


def _costs(plan: Plan) -> Iterator[Sequence[str]]:
    """One row per cost; measured costs with the 95 % interval of the median, others with their source."""
    for name, cost in plan.costs.items():
        interval = f"{format_cost(name, cost.low)} – {format_cost(name, cost.high)}"
        yield (
            name,
            format_cost(name, cost.value),
            interval if cost.source == MEASURED else cost.source,
            PARAMETERS[name].what,
        )


def rows(plan: Plan) -> Iterator[Sequence[str]]:
    """Yield the predictions as text, one row per setup."""
    before = None
    for one in plan.predictions:
        setup = one.setup
        name = setup_label(setup, keys=bool(plan.job.key_bytes))
        yield (
            name,
            f"{setup.size}{'*' if setup.nodes or setup.size > plan.cores else ''}",
            format_value(one.seconds),
            f"{one.speedup:.2f}×",
            _break_even(one.break_even),
            _break_even(one.break_even_started) if setup.nodes is None else "",
            "" if name == before else str(one.useful_up_to or "no limit"),
        )
        before = name


def setup_label(setup: Setup, *, keys: bool) -> str:
    """Return what a setup is called, without its numbers."""
    if setup.nodes is not None:
        return "nodes, sent" if setup.sent else "nodes"
    if setup.execution != "processes" or not keys:
        return setup.execution
    return f"{setup.execution}, {'sent' if setup.sent else 'shared'}"


def _break_even(keys: float | None) -> str:
    if keys is None:
        return "never"
    return in_words(math.ceil(keys)) if keys >= 1 else "any size"


def legend(plan: Plan) -> Iterator[str]:
    """Yield what the columns mean, and the machine."""
    yield (
        "speedup: against one core; of nodes, against all cores of one machine. pays from: number of keys from which "
        "the speedup exceeds 1 with running workers; started: with workers that are started for the job. useful: "
        f"number of workers that, doubled, makes this job less than {MIN_GAIN:g} times as fast."
    )
    if plan.job.key_bytes:
        yield "shared: the keys are in shared memory or a mapped file; sent: they have to be sent."
    yield f"* extrapolated from the costs of {plural(plan.cores, 'core')}; a node is a machine like this one."
    yield plan.machine
