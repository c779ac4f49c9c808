"""Plans without a machine: costs that are chosen, not measured."""

from __future__ import annotations

from hypothesis import strategies as st

from parcount.costmodel.costs import GIVEN, assumed_costs, unmeasured
from parcount.costmodel.jobs import PlannedJob
from parcount.costmodel.model import Model, Setup
from parcount.costmodel.parameters import PARAMETERS
from parcount.costmodel.result import Plan

COSTS = {
    "call": 1e-5,
    "kernel": 1e-9,
    "table": 1e-9,
    "merge": 1e-9,
    "read.one": 16e9,
    "read.all": 32e9,
    "threads.start": 1e-4,
    "threads.worker": 5e-5,
    "threads.latency": 2e-5,
    "threads.dispatch": 1e-5,
    "processes.start": 0.1,
    "processes.worker": 0.02,
    "processes.latency": 1e-4,
    "processes.dispatch": 5e-5,
    "processes.pipe": 4e9,
}
"""Round numbers of the usual sizes."""

ENVIRONMENT = {
    "cpu": "A chip",
    "cores": {"available": 2},
    "python": {"version": "3.14.0"},
    "versions": {"numpy": "2.4"},
}


def synthetic(
    job: PlannedJob | None = None,
    workers: tuple[int, ...] = (1, 2, 16),
    nodes: tuple[int, ...] = (10, 100),
    **costs: float,
) -> Plan:
    """A plan of `COSTS`, of which some are others; names have ``_`` in place of the dot."""
    others = {name.replace("_", "."): value for name, value in costs.items()}
    known = assumed_costs() | {name: unmeasured(value, GIVEN) for name, value in {**COSTS, **others}.items()}
    job = PlannedJob("bincount", "int64", 1024, 10_000_000) if job is None else job
    return Plan(ENVIRONMENT, job, {name: known[name] for name in PARAMETERS}, workers, nodes)


times = st.floats(1e-12, 1)
rates = st.floats(1e3, 1e14)

costs = st.fixed_dictionaries(
    {name: times if parameter.kind == "time" else rates for name, parameter in PARAMETERS.items()}
)
models = st.builds(Model, costs, st.sampled_from([0, 1, 2, 4, 8]), st.integers(1, 1 << 24))

setups = st.one_of(
    st.just(Setup("serial")),
    st.builds(
        Setup,
        st.sampled_from(["threads", "processes"]),
        st.integers(1, 256),
        st.booleans(),
        st.booleans(),
        st.none() | st.integers(1, 1024),
    ),
)
keys = st.integers(0, 1 << 50)
