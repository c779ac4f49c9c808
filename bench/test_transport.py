"""How an array crosses to a worker process and back: through the pipe, or by a copy in shared memory.

Justifies ``COPIED_FROM`` of `parcount.execution.shared`: the size, by groups, from which shared memory wins.
"""

from collections.abc import Iterator

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from tasks import Pool, copy_from, make, read

import parcount as pc
from parcount.execution import shared

NEVER = 1 << 62

SIZES = [1 << exponent for exponent in range(10, 27, 2)]
"""1 kB to 64 MB."""


def spoken(nbytes: int) -> str:
    return f"{nbytes >> 20} MB" if nbytes >= 1 << 20 else f"{nbytes >> 10} kB"


@pytest.fixture(params=["pipe", "shared memory"])
def worker(request: pytest.FixtureRequest, pool: Pool) -> Iterator[pc.Execution]:
    """One worker that arrays cross to and from in one way, whatever their size."""
    worker, usual = pool("processes", 1), shared.COPIED_FROM
    limit = NEVER if request.param == "pipe" else 0
    worker.map(copy_from, [limit])
    copy_from(limit)
    yield worker
    copy_from(usual)
    worker.map(copy_from, [usual])


@pytest.mark.parametrize("nbytes", SIZES, ids=spoken)
def test_item(benchmark: BenchmarkFixture, worker: pc.Execution, nbytes: int) -> None:
    benchmark.group = f"an item of {spoken(nbytes)}"
    benchmark.extra_info["nbytes"] = nbytes
    item = np.ones(nbytes // 8, np.int64)
    assert benchmark(worker.map, read, [item]) == [nbytes // 8]


@pytest.mark.parametrize("nbytes", SIZES, ids=spoken)
def test_result(benchmark: BenchmarkFixture, worker: pc.Execution, nbytes: int) -> None:
    benchmark.group = f"a result of {spoken(nbytes)}"
    benchmark.extra_info["nbytes"] = nbytes
    assert benchmark(lambda: read(worker.map(make, [nbytes])[0])) == nbytes // 8
