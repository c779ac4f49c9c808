"""A linear model of the time of a job.

T(n) = start + dispatch · parts + bytes to move / rate + max(n · kernel / workers, bytes to read / bandwidth) + merge

Every term is constant or proportional to the number n of keys, so T is linear in n. Two setups take the same time where
their lines cross.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, replace

CELL = 8
"""Bytes per bin."""

MIN_GAIN = 1.1
"""Smallest speedup from doubling the workers that counts as useful."""

MAX_COUNT = 1 << 20
"""Largest number of workers or nodes that is searched."""


@dataclass(frozen=True)
class Setup:
    """A way to run a job.

    Parameters
    ----------
    execution : {"serial", "threads", "processes"}
        The execution, on each node if there are nodes.
    workers : int
        The number of its workers, per node.
    sent : bool
        Whether the keys have to be sent to the workers or nodes. Otherwise they are in memory, in shared memory or a
        mapped file, or on the nodes.
    started : bool
        Whether the workers are started for this job.
    nodes : int or None
        The number of machines of a cluster; None for this machine alone.
    """

    execution: str
    workers: int = 1
    sent: bool = False
    started: bool = False
    nodes: int | None = None

    def __post_init__(self) -> None:
        if self.execution not in ("serial", "threads", "processes"):
            raise ValueError(f"no execution {self.execution!r}; there are serial, threads, processes")
        if self.workers < 1 or (self.nodes is not None and self.nodes < 1):
            raise ValueError(f"there must be at least 1 worker and 1 node: {self}")
        if self.execution == "serial" and self.workers != 1:
            raise ValueError("serial is one worker")

    @property
    def size(self) -> int:
        """The number of nodes, or of workers if there are no nodes."""
        return self.workers if self.nodes is None else self.nodes

    def resized(self, size: int) -> Setup:
        """The same setup with another `size`."""
        return replace(self, workers=size) if self.nodes is None else replace(self, nodes=size)


SERIAL = Setup("serial")


@dataclass(frozen=True)
class LinearTime:
    """The time of a setup by the number of keys, ``fixed + n * slope`` seconds, with its terms.

    Attributes
    ----------
    constants : mapping of str to float
        Seconds independent of n: ``call``, ``start``, ``dispatch``, ``table``, ``merge``, ``scheduler``, ``network``.
    send, count, read : float
        Seconds per key to send it, to count it by all cores together, and to read it from memory. Counting and reading
        overlap: the larger of the two applies.
    """

    constants: Mapping[str, float]
    send: float
    count: float
    read: float

    @property
    def fixed(self) -> float:
        """Seconds for an empty job."""
        return math.fsum(self.constants.values())

    @property
    def slope(self) -> float:
        """Seconds per key."""
        return self.send + max(self.count, self.read)

    def at(self, n: float) -> float:
        """Seconds for `n` keys."""
        return self.fixed + n * self.slope


@dataclass(frozen=True)
class Model:
    """The model with the costs of one kind of job.

    The costs have the names of `PARAMETERS`; `key_bytes` is 0 if the kernel generates the keys.

    The model has no overlap of steps and no caches, and cores compete for memory bandwidth only.
    ``docs/cost-model.md`` has the formulas, and compares predictions with measured times.

    Examples
    --------
    >>> costs = {"call": 0, "kernel": 1e-9, "table": 0, "merge": 1e-9, "read.one": 1e10, "read.all": 2e10,
    ...          "threads.latency": 8e-6, "threads.dispatch": 1e-6}
    >>> model = Model(costs, key_bytes=8, bins=1000)
    >>> two = Setup("threads", 2)
    >>> round(model.break_even(two))
    22000
    >>> round(model.speedup(two, 10_000_000), 2)
    2.0
    """

    costs: Mapping[str, float]
    key_bytes: int
    bins: int

    def line(self, setup: Setup) -> LinearTime:
        """The time of `setup` by the number of keys."""
        return self._node(setup) if setup.nodes is None else self._cluster(setup, setup.nodes)

    def seconds(self, setup: Setup, n: float) -> float:
        """Seconds that `setup` takes for `n` keys."""
        return self.line(setup).at(n)

    def speedup(self, setup: Setup, n: float, baseline: Setup = SERIAL) -> float:
        """The time of `baseline` divided by the time of `setup`, for `n` keys."""
        return self.seconds(baseline, n) / self.seconds(setup, n)

    def break_even(self, setup: Setup, baseline: Setup = SERIAL) -> float | None:
        """Return the number of keys from which `setup` takes less time than `baseline`: 0 for any, None for none."""
        ours, other = self.line(setup), self.line(baseline)
        spared, added = other.slope - ours.slope, ours.fixed - other.fixed
        if spared > 0:
            return max(0.0, added / spared)
        return 0.0 if spared == 0 and added < 0 else None

    def useful_up_to(self, setup: Setup, n: float, most: int = MAX_COUNT) -> int | None:
        """Return the number of workers (nodes, for a cluster) from which doubling it is not useful.

        It is the smallest number that, doubled, makes the job of `n` keys less than `MIN_GAIN` times as fast; 1 if that
        number is itself less than `MIN_GAIN` times as fast as one; None if it exceeds `most`. The setup's own number is
        ignored.

        The gain from doubling decreases with the number, because the divided terms shrink and the others grow, so a
        bisection finds the number. The first thread is an exception: it is the caller, to which nothing is dispatched.
        """

        def pays(size: int) -> bool:
            return self.seconds(setup.resized(size), n) >= MIN_GAIN * self.seconds(setup.resized(2 * size), n)

        sizes = range(2, most + 1)
        found = bisect_left(sizes, True, key=lambda size: not pays(size))
        if self.seconds(setup.resized(1), n) < MIN_GAIN * self.seconds(setup.resized(2 + found), n):
            return 1
        return sizes[found] if found < len(sizes) else None

    def bottleneck(self, setup: Setup, n: float) -> str:
        """Return the term that takes most of the time: a name of `LinearTime.constants`, or count, read or send."""
        line = self.line(setup)
        terms = {**line.constants, "send": n * line.send}
        terms["read" if line.read > line.count else "count"] = n * max(line.read, line.count)
        return max(terms, key=lambda name: terms[name])

    def bandwidth_demand(self, workers: int) -> float:
        """Memory bandwidth in bytes a second that so many workers could use."""
        return workers * self.key_bytes / self.costs["kernel"]

    def _node(self, setup: Setup) -> LinearTime:
        costs, workers = self.costs, setup.workers
        read = self.key_bytes / min(workers * costs["read.one"], costs["read.all"])
        constants = {"call": costs["call"], "table": self.bins * costs["table"]}
        if setup.execution == "serial" or (setup.execution == "threads" and workers == 1):
            return LinearTime(constants, 0.0, costs["kernel"], read)
        name = setup.execution
        constants["dispatch"] = costs[f"{name}.latency"] + workers * costs[f"{name}.dispatch"]
        constants["merge"] = (workers - 1) * self.bins * costs["merge"]
        if setup.started:
            constants["start"] = costs[f"{name}.start"] + workers * costs[f"{name}.worker"]
        send = 0.0
        if name == "processes":
            constants["merge"] += workers * CELL * self.bins / costs["processes.pipe"]
            if setup.sent:
                send = self.key_bytes / costs["processes.pipe"]
        return LinearTime(constants, send, costs["kernel"] / workers, read)

    def _cluster(self, setup: Setup, nodes: int) -> LinearTime:
        costs = self.costs
        here = self._node(replace(setup, nodes=None, sent=False))
        message = costs["network.latency"] + CELL * self.bins / costs["network.rate"]
        steps = math.ceil(math.log2(nodes))
        network = {
            "scheduler": nodes * costs["network.task"],
            "network": costs["network.latency"] + (steps + 1) * message + steps * self.bins * costs["merge"],
        }
        send = self.key_bytes / costs["network.rate"] if setup.sent else 0.0
        return LinearTime({**here.constants, **network}, send, here.count / nodes, here.read / nodes)
