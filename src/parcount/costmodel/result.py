"""A plan: the costs, what the model makes of them, and the file that keeps both."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from parcount.costmodel.costs import SOURCES, Cost
from parcount.costmodel.jobs import PlannedJob, make_job
from parcount.costmodel.model import SERIAL, Model, Setup
from parcount.costmodel.parameters import PARAMETERS, parse_cost
from parcount.costmodel.summary import summary_sentences
from parcount.studies.core.options import worker_counts
from parcount.studies.core.output import write_output

SCHEMA = 1

LOCAL_SETUPS = (Setup("threads"), Setup("processes"), Setup("processes", sent=True))
"""What one machine offers."""

CLUSTER_SETUPS = (Setup("threads", nodes=1), Setup("threads", sent=True, nodes=1))
"""What a cluster offers."""


@dataclass(frozen=True)
class Prediction:
    """What the model says of one setup.

    Attributes
    ----------
    setup : Setup
        Which; its workers are there already.
    baseline : Setup
        What it is compared with: serial, but for a cluster the threads of one such machine.
    seconds : float
        For the job as it is planned.
    speedup : float
        How many times as fast as the other that is.
    break_even : float or None
        Keys from which it is faster than the other; None if never.
    break_even_started : float or None
        The same with its workers started for the job.
    useful_up_to : int or None
        Workers (nodes, for a cluster) from which twice as many do not pay for this job; None if none was found.
    """

    setup: Setup
    baseline: Setup
    seconds: float
    speedup: float
    break_even: float | None
    break_even_started: float | None
    useful_up_to: int | None


@dataclass(frozen=True)
class Plan:
    """Where each execution pays, and where it stops: measured costs, and predictions.

    Attributes
    ----------
    environment : mapping
        Of the machine that the costs are from, as in the result file of a study.
    job : PlannedJob
        What is to be counted.
    costs : mapping of str to Cost
        By the names that ``--cost`` takes.
    workers : tuple of int
        Numbers of workers to predict, rising.
    nodes : tuple of int
        Numbers of a cluster's nodes to predict, rising.

    Examples
    --------
    >>> import parcount as pc
    >>> plan = pc.plan("tally", size=10_000, seconds=0.1)  # doctest: +SKIP
    >>> print(plan)  # doctest: +SKIP
    """

    environment: Mapping[str, Any]
    job: PlannedJob
    costs: Mapping[str, Cost]
    workers: tuple[int, ...]
    nodes: tuple[int, ...]

    def __str__(self) -> str:
        return "\n".join(self.sentences)

    @property
    def sentences(self) -> list[str]:
        """What to do with this job, and what that rests on."""
        return summary_sentences(self)

    @property
    def cores(self) -> int:
        """Cores of the machine that the costs are from: what is said of more is not measured."""
        return int(self.environment["cores"]["available"])

    @property
    def machine(self) -> str:
        """The machine that the costs are from, in a line."""
        cores = f"{self.cores} core{'s' if self.cores > 1 else ''}"
        python, versions = self.environment["python"], self.environment["versions"]
        return f"{self.environment['cpu']}, {cores} available; Python {python['version']}, NumPy {versions['numpy']}."

    @cached_property
    def model(self) -> Model:
        """The formula with these costs."""
        return Model({name: cost.value for name, cost in self.costs.items()}, self.job.key_bytes, self.job.bins)

    @cached_property
    def predictions(self) -> list[Prediction]:
        """Of every road with every number of workers, then of clusters of machines like this one."""
        setups = [replace(road, workers=workers) for road in LOCAL_SETUPS for workers in self.workers if workers > 1]
        setups += [replace(road, workers=self.cores, nodes=nodes) for road in CLUSTER_SETUPS for nodes in self.nodes]
        return [self.predict(setup) for setup in setups if self.job.key_bytes or not setup.sent]

    def interval(self, setup: Setup) -> tuple[float, float]:
        """The least and the most seconds that the intervals of all costs leave for one setup."""
        ends = []
        for soon in (True, False):
            costs = {
                name: cost.low if soon == (PARAMETERS[name].kind == "time") else cost.high
                for name, cost in self.costs.items()
            }
            ends.append(replace(self.model, costs=costs).seconds(setup, self.job.size))
        return ends[0], ends[1]

    def predict(self, setup: Setup) -> Prediction:
        """What the model says of one setup."""
        model, n = self.model, self.job.size
        baseline = SERIAL if setup.nodes is None else Setup("threads", self.cores)
        return Prediction(
            setup,
            baseline,
            model.seconds(setup, n),
            model.speedup(setup, n, baseline),
            model.break_even(setup, baseline),
            model.break_even(replace(setup, started=True), baseline),
            model.useful_up_to(setup, n),
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a file that `load`, and ``parcount plan --from``, read: all of it, or nothing.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        write_output(path, json.dumps(self.content(), indent=1, allow_nan=False).encode() + b"\n")

    def content(self) -> dict[str, Any]:
        """What `save` writes, as plain values."""
        return {"schema": SCHEMA, **asdict(self), "predictions": [asdict(one) for one in self.predictions]}

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Plan:
        """Read a plan that was saved; what it predicts is worked out anew.

        Raises
        ------
        OSError
            If it cannot be read.
        ValueError
            If it is no such file, of a schema that this version does not know, or holds a cost that cannot be.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            schema = content["schema"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is no file of parcount plan: {error!r}") from error
        if schema != SCHEMA:
            raise ValueError(f"{path} has schema {schema!r}; this version of parcount reads {SCHEMA}")
        return cls.from_content(content, path)

    @classmethod
    def from_content(cls, content: Mapping[str, Any], path: str | os.PathLike[str]) -> Plan:
        """The plan that a file's content holds; `path` is for what is said of it.

        Raises
        ------
        ValueError
            As `load`.
        """
        try:
            plan = cls(
                content["environment"],
                make_job(**content["job"]),
                {name: _cost(name, content["costs"][name]) for name in PARAMETERS},
                worker_counts(content["workers"]),
                worker_counts(content["nodes"]),
            )
            _ = plan.machine
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path} is no file of parcount plan: {error!r}") from error
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        return plan


def _cost(name: str, content: Mapping[str, Any]) -> Cost:
    value, low, high = (parse_cost(name, float(content[each])) for each in ("value", "low", "high"))
    if (source := content["source"]) not in SOURCES:
        raise ValueError(f"the source of {name} is one of {', '.join(SOURCES)}, not {source!r}")
    return Cost(value, low, high, source)
