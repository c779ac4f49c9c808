"""A plan in sentences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from parcount.costmodel.costs import ASSUMED, GIVEN
from parcount.costmodel.model import MAX_COUNT, MIN_GAIN, SERIAL, Setup
from parcount.costmodel.parameters import format_cost, format_value
from parcount.report.units import in_words, plural

if TYPE_CHECKING:
    from parcount.costmodel.result import Plan, Prediction

WIDE_INTERVAL = 1.5
"""Ratio of the longest to the shortest predicted time, by the costs' intervals, from which a warning is given."""

BOTTLENECKS = {
    "call": "the fixed cost of the call",
    "dispatch": "dispatching the parts",
    "table": "allocating one table per worker",
    "merge": "merging the tables",
    "read": "memory bandwidth",
    "send": "sending the keys",
    "scheduler": "the scheduler's cost per task",
    "network": "network messages",
    "start": "starting the workers",
    "count": "the cost added by each further worker",
}
"""What takes most of the time, by the names that `Model.bottleneck` returns."""


def summary_sentences(plan: Plan) -> list[str]:
    """The recommendations for the planned job, and the assumptions behind them."""
    serial = plan.model.seconds(SERIAL, plan.job.size)
    found = [f"{plan.job}: {format_value(serial)} on one core.", *_threads(plan), _processes(plan)]
    if plan.nodes:
        found += _clusters(plan)
    return [*found, *_assumptions(plan)]


def _threads(plan: Plan) -> list[str]:
    count = max(2, plan.cores)
    threads = plan.predict(Setup("threads", count))
    if threads.break_even is None:
        return [f"{count} threads are never faster than one."]
    gain = f"; {count} threads run this job {threads.speedup:.3g} times as fast as one" if threads.speedup > 1 else ""
    return [f"Threads pay {_from_size(threads.break_even)}{gain}.", _useful_up_to(plan, threads, "thread")]


def _processes(plan: Plan) -> str:
    setup = Setup("processes", max(2, plan.cores))
    shared = plan.predict(setup)
    if shared.break_even_started is None:
        return "Processes never pay."
    text = f"Processes that are started for one job pay {_from_size(shared.break_even_started)}"
    if not plan.job.key_bytes:
        return f"{text}."
    text += " if the keys are in shared memory or in a mapped file"
    sent = plan.predict(Setup("processes", setup.workers, sent=True))
    if sent.break_even_started is not None:
        return f"{text}, and {_from_size(sent.break_even_started)} if they have to be sent."
    send, count = plan.model.line(sent.setup).send, plan.model.line(SERIAL).slope
    return f"{text}, and never if they have to be sent: {_send_or_count(send, count)}."


def _clusters(plan: Plan) -> list[str]:
    cluster = plan.predict(Setup("threads", plan.cores, nodes=plan.nodes[0]))
    nodes = f"{plan.nodes[0]} nodes like this machine"
    keys = bool(plan.job.key_bytes)
    pays = "never pay" if cluster.break_even is None else f"pay {_from_size(cluster.break_even)}"
    found = [
        f"{nodes} {pays}, compared with the threads of one{', if the keys are on the nodes' if keys else ''}.",
        _useful_up_to(plan, cluster, "node"),
    ]
    if keys:
        sent = plan.predict(Setup("threads", plan.cores, True, nodes=plan.nodes[0]))
        send, count = plan.model.line(sent.setup).send, plan.model.line(cluster.baseline).slope
        pays = "never pays" if sent.break_even is None else f"pays {_from_size(sent.break_even)}"
        found.append(f"Sending the keys to the nodes {pays}: {_send_or_count(send, count)}.")
    return found


def _assumptions(plan: Plan) -> list[str]:
    cores, most = plural(plan.cores, "core"), plan.workers[-1]
    found = []
    if plan.job.key_bytes and most > plan.cores:
        source, demand = plan.costs["read.all"].source, format_value(plan.model.bandwidth_demand(most), "rate")
        found.append(
            f"Predictions for more than {cores} use the memory bandwidth of {cores}, {_format(plan, 'read.all')} "
            f"({source}); {most} cores could read {demand}."
        )
    for setup in (Setup("threads", max(2, plan.cores)), Setup("processes", max(2, plan.cores), started=True)):
        low, high = plan.interval(setup)
        if high > WIDE_INTERVAL * low:
            found.append(
                f"The intervals of the costs allow {format_value(low)} to {format_value(high)} for "
                f"{setup.workers} {setup.execution}{' started for the job' if setup.started else ''}: "
                "measure on a quiet machine, or with a larger --seconds."
            )
    for source in (GIVEN, ASSUMED):
        named = [f"{name} {_format(plan, name)}" for name, cost in plan.costs.items() if cost.source == source]
        if named:
            found.append(f"{source.capitalize()}, not measured: {', '.join(named)}.")
    return found


def _useful_up_to(plan: Plan, one: Prediction, unit: str) -> str:
    """The number of workers or nodes that doubling no longer helps, and the bottleneck then."""
    if one.useful_up_to is None:
        return f"Doubling the number of {unit}s pays up to {MAX_COUNT} and beyond."
    why = BOTTLENECKS[plan.model.bottleneck(one.setup.resized(2 * one.useful_up_to), plan.job.size)]
    enough = f"{plural(one.useful_up_to, unit)} {'is' if one.useful_up_to == 1 else 'are'}"
    return f"{enough} enough for this job: twice as many are less than {MIN_GAIN:g} times as fast. The limit is {why}."


def _send_or_count(send: float, count: float) -> str:
    return f"a key takes {format_value(send)} to send and {format_value(count)} to count here"


def _format(plan: Plan, name: str) -> str:
    return format_cost(name, plan.costs[name].value)


def _from_size(keys: float) -> str:
    return "at any size" if keys < 1 else f"from {in_words(math.ceil(keys))} keys on"
