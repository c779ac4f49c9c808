"""Predict counting times for other sizes and machines, from costs measured here and a linear model."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

from parcount.costmodel.costs import GIVEN, SECONDS, assumed_costs, measure, unmeasured
from parcount.costmodel.jobs import SIZE, make_job
from parcount.costmodel.parameters import PARAMETERS, parse_cost
from parcount.costmodel.result import Plan
from parcount.report.notebook import shown_progress
from parcount.studies.core.driver import Progress
from parcount.studies.core.environment import environment
from parcount.studies.core.options import doublings, worker_counts
from parcount.system.cores import available_cores

__all__ = ["Plan", "plan"]

MORE_CORES = (16, 128)
NODES = (10, 100, 1000)


def plan(
    workload: str | None = None,
    *,
    dtype: str | None = None,
    bins: int | None = None,
    size: int | None = None,
    workers: int | Sequence[int] | None = None,
    nodes: int | Sequence[int] | None = None,
    costs: Mapping[str, str | float] | None = None,
    saved: str | os.PathLike[str] | None = None,
    seconds: float = SECONDS,
    progress: Progress | None = None,
) -> Plan:
    """Predict where each execution pays, here, with more cores and on clusters, from costs measured on this machine.

    Parameters
    ----------
    workload : {"bincount", "tally"}, optional
        The workload; "bincount" by default.
    dtype : str, optional
        The dtype of the keys of `bincount`; "int64" by default.
    bins : int, optional
        The number of bins; 1024 by default, 256 for `tally` and for keys of one byte.
    size : int, optional
        The number of keys; 100 million by default.
    workers : int or sequence of int, optional
        Numbers of workers to predict; by default 1, 2, … all available cores, then 16 and 128.
    nodes : int or sequence of int, optional
        Numbers of nodes to predict, each like this machine; 10, 100 and 1000 by default.
    costs : mapping of str to (str or float), optional
        Costs to use instead of measured or assumed ones, such as ``{"network.rate": "25 Gbit/s"}``; plain numbers are
        seconds, or bytes a second. The names are those of `Plan.costs`.
    saved : path, optional
        A file of `Plan.save`, perhaps from another machine, to use the costs of instead of measuring them.
    seconds : float, optional
        The time to measure.
    progress : callable, optional
        Called with a description of the current step, the seconds passed and the seconds expected. By default a
        notebook shows a bar.

    Returns
    -------
    Plan
        It has the `costs` and the `predictions`; ``print(plan)`` summarizes them.

    Raises
    ------
    ValueError
        If a name does not exist, a number is out of range, or the costs in `saved` are for another workload, dtype or
        number of bins.
    OSError
        If `saved` cannot be read, or the workers cannot be started.

    Notes
    -----
    The measurement takes `seconds`, but at least three rounds, and memory for at most 128 MB of keys and two tables.
    ``docs/cost-model.md`` describes the model.

    Starts worker processes: a script calls this below ``if __name__ == "__main__":``.

    Examples
    --------
    >>> import parcount as pc
    >>> plan = pc.plan("tally", size=1_000_000, seconds=1)  # doctest: +SKIP
    >>> print(plan)  # doctest: +SKIP
    """
    given = {name: unmeasured(parse_cost(name, value), GIVEN) for name, value in (costs or {}).items()}
    asked_workers = None if workers is None else worker_counts(workers)
    asked_nodes = None if nodes is None else worker_counts(nodes)
    if not seconds > 0:
        raise ValueError(f"the time to measure must be more than 0 seconds, not {seconds}")
    if saved is not None:
        found = Plan.load(saved)
        for what, asked in {"workload": workload, "dtype": dtype, "bins": bins}.items():
            if asked is not None and asked != getattr(found.job, what):
                raise ValueError(
                    f"the costs in {saved} are for {found.job}: for another {what} measure again, or omit the {what}"
                )
        return replace(
            found,
            job=found.job if size is None else make_job(**asdict(replace(found.job, size=size))),
            costs={**found.costs, **given},
            workers=asked_workers or found.workers,
            nodes=asked_nodes or found.nodes,
        )
    job = make_job("bincount" if workload is None else workload, dtype, bins, SIZE if size is None else size)
    machine = environment()
    known = assumed_costs() | given
    if any(name not in known for name in PARAMETERS):
        with shown_progress(progress) as shown:
            known = measure(job, seconds, shown) | known
    return Plan(
        machine,
        job,
        {name: known[name] for name in PARAMETERS},
        asked_workers or tuple(sorted({*doublings(available_cores()), *MORE_CORES})),
        asked_nodes or NODES,
    )
