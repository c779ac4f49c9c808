"""A dask cluster on this machine, whose workers are processes."""

import copyreg
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.remote import is_alive, until

WORKERS = 2


@contextmanager
def pickling_as_before() -> Iterator[None]:
    """Take back what dask changes when it is imported, which is how exceptions pickle everywhere in this process."""
    before = dict(copyreg.dispatch_table)
    yield
    copyreg.dispatch_table.clear()
    copyreg.dispatch_table.update(before)


@contextmanager
def client() -> Iterator[Any]:
    """Of a cluster of two worker processes with one thread each; both end with it."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=WORKERS, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.CRITICAL
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client
        until(lambda: all(map(_runs, cluster.workers.values())), "a worker that was killed has not come back")


def _runs(nanny: Any) -> bool:
    """Whether its worker does; where one is being started, the cluster cannot be ended without a complaint."""
    process = nanny.process
    return process is not None and process.status.name == "running" and process.pid and is_alive(process.pid)
