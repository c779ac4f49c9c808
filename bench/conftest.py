"""Fixtures of the benchmarks.

``pytest bench --benchmark-only`` runs them; with ``--benchmark-disable`` each runs once, as a check. This folder is not
a package: pytest puts it on ``sys.path``, where worker processes find `tasks`.
"""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tasks import Pool

import parcount as pc


@pytest.fixture(scope="session")
def pool() -> Iterator[Pool]:
    """Executions whose workers run for the whole session."""
    pools: dict[tuple[str, int], pc.Execution] = {}
    with ExitStack() as stack:

        def get(execution: str, workers: int) -> pc.Execution:
            if (execution, workers) not in pools:
                kind = {"threads": pc.Threads, "processes": pc.Processes}.get(execution)
                pools[execution, workers] = stack.enter_context(kind(workers) if kind else pc.Serial())
            return pools[execution, workers]

        yield get
