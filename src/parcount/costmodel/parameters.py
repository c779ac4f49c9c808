"""The parameters of the cost model: names, units, parsing and formatting."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from parcount.report import units

SHOWN = {"time": units.SECONDS, "rate": {"TB/s": 1e12, "GB/s": 1e9, "MB/s": 1e6, "kB/s": 1e3, "B/s": 1.0}}
"""Units for output."""

SECONDS = {**SHOWN["time"], "us": 1e-6}
RATES = {**SHOWN["rate"], "Mbit/s": 1e6 / 8, "Gbit/s": 1e9 / 8, "Tbit/s": 1e12 / 8}


@dataclass(frozen=True)
class Parameter:
    """A parameter of the model: a time in seconds, or a rate in bytes a second.

    `least` is its smallest valid value, and `assumed` the default if it cannot be measured on one machine.
    """

    what: str
    kind: str = "time"
    least: float = 0.0
    assumed: float | None = None


MIN_POSITIVE = 1e-15
"""The smallest valid value of a parameter that the model divides by."""

MAX_VALUE = 1e30
"""The largest valid value of a parameter: times and numbers of keys computed from it stay finite."""

PARAMETERS: Mapping[str, Parameter] = {
    "call": Parameter("fixed cost of a call"),
    "kernel": Parameter("to count one key, on one core", least=MIN_POSITIVE),
    "table": Parameter("to allocate a table, per bin"),
    "merge": Parameter("to add a worker's table to another, per bin"),
    "read.one": Parameter("memory bandwidth of one core", "rate", MIN_POSITIVE),
    "read.all": Parameter("memory bandwidth of all cores", "rate", MIN_POSITIVE),
    "threads.start": Parameter("to start threads, once"),
    "threads.worker": Parameter("to start each of them"),
    "threads.latency": Parameter("from dispatching a part to threads to its result"),
    "threads.dispatch": Parameter("time of the caller per part for threads"),
    "processes.start": Parameter("to start processes, once"),
    "processes.worker": Parameter("to start each of them"),
    "processes.latency": Parameter("from dispatching a part to a process to its result"),
    "processes.dispatch": Parameter("time of the caller per part for processes"),
    "processes.pipe": Parameter("bandwidth of the pipe to a process", "rate", MIN_POSITIVE),
    "network.rate": Parameter("bandwidth between two nodes", "rate", MIN_POSITIVE, assumed=10e9 / 8),
    "network.latency": Parameter("latency of a message between two nodes", assumed=1e-4),
    "network.task": Parameter("time of the scheduler per task", assumed=1e-3),
}
"""All parameters by name, in the order of the output."""


def parse_cost(name: str, text: str | float) -> float:
    """Return the value of a cost in seconds or bytes a second, from a number or from text with a unit.

    Raises
    ------
    ValueError
        If there is no such cost, its unit is missing or of the other kind, or the value is out of range.

    Examples
    --------
    >>> parse_cost("network.rate", "8 Gbit/s")
    1000000000.0
    >>> parse_cost("kernel", "0.3")
    Traceback (most recent call last):
        ...
    ValueError: kernel takes a number with a unit, such as 0.3ns (s, ms, µs, ns, ps, us), not '0.3'
    """
    try:
        parameter = PARAMETERS[name]
    except KeyError:
        raise ValueError(f"no cost {name!r}; there are {', '.join(PARAMETERS)}") from None
    if isinstance(text, str):
        known, example = (SECONDS, "0.3ns") if parameter.kind == "time" else (RATES, "10GB/s")
        match = re.fullmatch(r"\s*(\d[\d_ ]*(?:\.\d*)?(?:e[-+]?\d+)?)\s*([a-zA-Zµ/]+)\s*", text)
        if match is None or match[2] not in known:
            raise ValueError(f"{name} takes a number with a unit, such as {example} ({', '.join(known)}), not {text!r}")
        value = float(match[1].replace(" ", "")) * known[match[2]]
    else:
        value = float(text)
    if not parameter.least <= value <= MAX_VALUE:
        least = "at least 0" if parameter.least == 0 else "more than 0"
        raise ValueError(f"{name} must be {least} and at most {MAX_VALUE:g}, not {text!r}")
    return value


def parse_assignment(text: str) -> tuple[str, float]:
    """Parse the name and the value of a cost from ``name=value``; ValueError as `parse_cost`.

    Examples
    --------
    >>> parse_assignment("read.all=200GB/s")
    ('read.all', 200000000000.0)
    """
    name, sign, value = text.partition("=")
    if not sign:
        raise ValueError(f"a cost is given as name=value, such as kernel=0.3ns, not {text!r}")
    return name.strip(), parse_cost(name.strip(), value)


def format_cost(name: str, value: float) -> str:
    """Format the value of a cost with a suitable unit, in three digits.

    Examples
    --------
    >>> format_cost("kernel", 3.14159e-10), format_cost("network.rate", 1.25e9), format_cost("table", 0)
    ('314 ps', '1.25 GB/s', '0 s')
    """
    return format_value(value, PARAMETERS[name].kind)


def format_value(value: float, kind: str = "time") -> str:
    """Format seconds, or bytes a second, with a suitable unit, in three digits.

    Examples
    --------
    >>> format_value(0.0123), format_value(64.0), format_value(5e9, "rate")
    ('12.3 ms', '64 s', '5 GB/s')
    """
    return units.in_units(value, SHOWN[kind])
