"""A plan: the costs, the predictions and the file format."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from parcount.costmodel.costs import SOURCES, Cost
from parcount.costmodel.jobs import PlannedJob, make_job
from parcount.costmodel.model import SERIAL, Model, Setup
from parcount.costmodel.parameters import PARAMETERS, parse_cost
from parcount.costmodel.summary import summary_sentences
from parcount.report.json_schema import known_part
from parcount.report.output import check_schema, read_json, write_json
from parcount.report.units import plural
from parcount.studies.core.options import worker_counts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCHEMA = 1
WHAT = "a file of parcount plan"

TEXT, NUMBER, COUNT = {"type": "string"}, {"type": "number"}, {"type": "integer", "minimum": 1, "maximum": 1 << 62}
COUNTS = {"type": "array", "items": COUNT, "minItems": 1}


def _object(properties: Mapping[str, Any], others: Any = False) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(properties),
        "properties": properties,
        "additionalProperties": others,
    }


FORMAT = _object(
    {
        "environment": _object(
            {
                "cpu": TEXT,
                "cores": _object({"available": COUNT}, {}),
                "python": _object({"version": TEXT}, {}),
                "versions": _object({"numpy": {"type": ["string", "null"]}}, {}),
            },
            {},
        ),
        "job": _object({"workload": TEXT, "dtype": {"type": ["string", "null"]}, "bins": COUNT, "size": COUNT}),
        "costs": _object(
            {name: _object({"value": NUMBER, "low": NUMBER, "high": NUMBER, "source": TEXT}) for name in PARAMETERS}
        ),
        "workers": COUNTS,
        "nodes": COUNTS,
    }
)
"""The JSON Schema of the file, without the predictions, which are computed again."""

LOCAL_SETUPS = (Setup("threads"), Setup("processes"), Setup("processes", sent=True))
"""The setups of one machine, without their number of workers."""

CLUSTER_SETUPS = (Setup("threads", nodes=1), Setup("threads", sent=True, nodes=1))
"""The setups of a cluster, without their numbers of workers and nodes."""


@dataclass(frozen=True)
class Prediction:
    """The prediction for one setup.

    Attributes
    ----------
    setup, baseline : Setup
        The setup, with running workers, and what it is compared with: serial, or for a cluster the threads of one
        machine.
    seconds, speedup : float
        Time of the planned job, and that of the baseline divided by it.
    break_even, break_even_started : float or None
        Number of keys from which it is faster than the baseline, with running workers and with workers that are started
        for the job; None if never.
    useful_up_to : int or None
        Workers (nodes, for a cluster) from which doubling is not useful for this job; None if none was found.
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
    """Measured costs, and predictions of where each execution pays.

    Attributes
    ----------
    environment : mapping
        The machine of the costs, as in the result file of a study.
    job : PlannedJob
        The job to predict.
    costs : mapping of str to Cost
        The costs by the names that ``--cost`` takes.
    workers, nodes : tuple of int
        The numbers to predict, in ascending order.

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

    def __repr__(self) -> str:
        return (
            f"<parcount plan: {self.job}, {plural(self.cores, 'core')}, {plural(len(self.predictions), 'prediction')}>"
        )

    def _repr_html_(self) -> str:
        from parcount.costmodel import table
        from parcount.report.notebook import to_html

        return to_html(self.sentences, table.tables(self), table.legend(self), self.plot)

    def table(self, *, width: int = 80) -> str:
        """Return the predictions and the costs as text, for ``print``; this takes rich."""
        from parcount.costmodel.table import table_text

        return table_text(self, width)

    def plot(self) -> Figure:
        """Return the figure of the predicted speedups; this takes Matplotlib."""
        from parcount.costmodel.figure import draw

        return draw(self)

    @property
    def sentences(self) -> list[str]:
        """The recommendations for this job, and the assumptions behind them."""
        return summary_sentences(self)

    @property
    def cores(self) -> int:
        """Cores of the machine of the costs; predictions for more are extrapolated."""
        return int(self.environment["cores"]["available"])

    @property
    def machine(self) -> str:
        """The machine of the costs, in one line."""
        cores = plural(self.cores, "core")
        python, versions = self.environment["python"], self.environment["versions"]
        return f"{self.environment['cpu']}, {cores} available; Python {python['version']}, NumPy {versions['numpy']}."

    @cached_property
    def model(self) -> Model:
        """The model with these costs."""
        return Model({name: cost.value for name, cost in self.costs.items()}, self.job.key_bytes, self.job.bins)

    @cached_property
    def predictions(self) -> list[Prediction]:
        """All setups of one machine with each number of workers, then clusters of machines like it."""
        setups = [replace(setup, workers=workers) for setup in LOCAL_SETUPS for workers in self.workers if workers > 1]
        setups += [replace(setup, workers=self.cores, nodes=nodes) for setup in CLUSTER_SETUPS for nodes in self.nodes]
        return [self.predict(setup) for setup in setups if self.job.key_bytes or not setup.sent]

    def interval(self, setup: Setup) -> tuple[float, float]:
        """The shortest and the longest time in seconds that the intervals of the costs allow for one setup."""
        ends = []
        for time_end, rate_end in (("low", "high"), ("high", "low")):
            costs = {
                name: getattr(cost, time_end if PARAMETERS[name].kind == "time" else rate_end)
                for name, cost in self.costs.items()
            }
            ends.append(replace(self.model, costs=costs).seconds(setup, self.job.size))
        return ends[0], ends[1]

    def predict(self, setup: Setup) -> Prediction:
        """The prediction for one setup."""
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
        """Write a file for `load` and ``parcount plan --from``; OSError if that fails. It is complete or unchanged."""
        write_json(path, SCHEMA, self.content())

    def content(self) -> dict[str, Any]:
        """The content of the file as plain values."""
        return {"schema": SCHEMA, **asdict(self), "predictions": [asdict(one) for one in self.predictions]}

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Plan:
        """Read a saved plan; the predictions are computed again.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it is not a file of `save`, has an unknown schema, or contains an invalid cost.
        """
        return cls.from_content(read_json(path), path)

    @classmethod
    def from_content(cls, content: Any, path: str | os.PathLike[str]) -> Plan:
        """The plan with the content of a file; ValueError, with the path in its message, as `load`."""
        check_schema(content, path, SCHEMA, WHAT, "costs")
        try:
            known = known_part(content, FORMAT)
            return cls(
                known["environment"],
                make_job(**known["job"]),
                {name: _cost(name, known["costs"][name]) for name in PARAMETERS},
                worker_counts(known["workers"]),
                worker_counts(known["nodes"]),
            )
        except ValueError as error:
            raise ValueError(f"{path} is not {WHAT} that this version of parcount can read: {error}") from None


def _cost(name: str, content: Mapping[str, Any]) -> Cost:
    value, low, high = (parse_cost(name, content[each]) for each in ("value", "low", "high"))
    if (source := content["source"]) not in SOURCES:
        raise ValueError(f"the source of {name} is one of {', '.join(SOURCES)}, not {source!r}")
    return Cost(value, low, high, source)
