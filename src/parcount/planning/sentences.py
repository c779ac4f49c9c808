"""A plan in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from parcount.planning.costs import ASSUMED, GIVEN
from parcount.planning.model import MOST, SERIAL, WORTH, Way
from parcount.planning.quantities import spoken, with_unit
from parcount.studies.verdict import in_words

if TYPE_CHECKING:
    from parcount.planning.result import Plan, Prediction

OPEN = 1.5
"""Times as long as the least that a prediction's most may be, by the intervals of its costs, without being told."""

BECAUSE = {
    "call": "most of the time then goes to the call itself",
    "dispatch": "most of the time then goes to handing out the parts",
    "table": "most of the time then goes to making a table for each",
    "merge": "most of the time then goes to adding up their tables",
    "read": "memory gives no more",
    "send": "most of the time then goes to sending the keys",
    "scheduler": "most of the time then goes to the scheduler's tasks",
    "network": "most of the time then goes to messages",
    "start": "most of the time then goes to starting them",
    "count": "what else there is to do takes up what they spare",
}
"""Why more workers do not pay, by what takes most of the time."""


def sentences(plan: Plan) -> list[str]:
    """What to do with this job, and what that rests on."""
    alone = plan.model.seconds(SERIAL, plan.job.size)
    found = [f"{plan.job}: {with_unit(alone)} on one core.", *_threads(plan), _processes(plan)]
    if plan.nodes:
        found += _clusters(plan)
    return [*found, *_grounds(plan)]


def _threads(plan: Plan) -> list[str]:
    here = max(2, plan.cores)
    one = plan.predict(Way("threads", here))
    if one.pays_from is None:
        return [f"{here} threads are never faster than one."]
    gain = f"; with {here} this job is {one.speedup:.3g} times as fast" if one.speedup > 1 else ""
    return [f"Threads pay {_from(one.pays_from)}{gain}.", _enough(plan, one, "threads", "thread")]


def _processes(plan: Plan) -> str:
    way = Way("processes", max(2, plan.cores))
    shared = plan.predict(way)
    if shared.pays_started is None:
        return "Processes never pay."
    text = f"Processes that are started for one job pay {_from(shared.pays_started)}"
    if not plan.job.key_bytes:
        return f"{text}."
    text += " if the keys lie in shared memory or in a mapped file"
    sent = plan.predict(Way("processes", way.workers, sent=True))
    if sent.pays_started is not None:
        return f"{text}, and {_from(sent.pays_started)} if they have to be sent."
    line, alone = plan.model.line(sent.way), plan.model.line(SERIAL)
    return (
        f"{text}, and never if they have to be sent: a key takes {with_unit(line.send)} to send, "
        f"{with_unit(alone.slope)} to count."
    )


def _clusters(plan: Plan) -> list[str]:
    there = plan.predict(Way("threads", plan.cores, nodes=plan.nodes[0]))
    nodes = f"{plan.nodes[0]} nodes like this machine"
    first = f"A cluster of {nodes} never pays" if there.pays_from is None else f"{nodes} pay {_from(there.pays_from)}"
    keys = bool(plan.job.key_bytes)
    found = [
        f"{first}, against this machine's threads{', if the keys lie on the nodes' if keys else ''}.",
        _enough(plan, there, "nodes", "node"),
    ]
    if keys:
        sent, here = plan.predict(Way("threads", plan.cores, True, nodes=plan.nodes[0])), plan.model.line(there.against)
        a_key = (
            f"a key takes {with_unit(plan.model.line(sent.way).send)} to send, {with_unit(here.slope)} to count here"
        )
        when = "never pays" if sent.pays_from is None else f"pays {_from(sent.pays_from)}"
        found.append(f"To send the keys to them {when}: {a_key}.")
    return found


def _grounds(plan: Plan) -> list[str]:
    cores, most = f"{plan.cores} core{'s' if plan.cores > 1 else ''}", plan.workers[-1]
    found = []
    if plan.job.key_bytes and most > plan.cores:
        source, wanted = plan.costs["read.all"].source, with_unit(plan.model.appetite(most), "rate")
        found.append(
            f"For more than {cores} the memory is taken for as fast as it is with {cores}, {_spoken(plan, 'read.all')} "
            f"({source}); {most} cores that do not wait for it would read {wanted}."
        )
    ways = (Way("threads", max(2, plan.cores)), Way("processes", max(2, plan.cores), started=True))
    for way in ways:
        low, high = plan.between(way)
        if high > OPEN * low:
            found.append(
                f"The costs' intervals leave {with_unit(low)} to {with_unit(high)} for {way.workers} {way.execution}"
                f"{' started for the job' if way.started else ''}: a quiet machine, or more --seconds, tells better."
            )
    for source in (GIVEN, ASSUMED):
        named = [f"{name} {_spoken(plan, name)}" for name, cost in plan.costs.items() if cost.source == source]
        if named:
            found.append(f"{source.capitalize()}, not measured: {', '.join(named)}.")
    return found


def _spoken(plan: Plan, name: str) -> str:
    return spoken(name, plan.costs[name].value)


def _enough(plan: Plan, one: Prediction, what: str, single: str) -> str:
    """From how many on twice as many do not pay, and why."""
    if one.enough is None:
        return f"Twice as many {what} pay up to {MOST} of them and beyond."
    why = BECAUSE[plan.model.limit(one.way.resized(2 * one.enough), plan.job.size)]
    enough = f"one {single} is enough: two" if one.enough == 1 else f"{one.enough} {what} are enough: twice as many"
    return f"For this job {enough} are less than {WORTH:g} times as fast, for {why}."


def _from(keys: float) -> str:
    return "at once" if keys < 1 else f"from {in_words(math.ceil(keys))} keys on"
