"""Sending an array to a worker process and back, by each transport and by two with other limits.

``SHARED_COPY_MIN_BYTES`` and ``OUT_OF_BAND_MIN_BYTES`` of `parcount.execution.processes.serialisation` follow from it:
the sizes from which a copy in shared memory takes no longer than pickling, and an array sent after the message no
longer than one inside it.
"""

from collections.abc import Iterator

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from tasks import make, read

import parcount as pc
from parcount.execution.processes.channel import pipe
from parcount.execution.processes.serialisation import Packing
from parcount.execution.processes.transports import TRANSPORTS, Transport

SIZES = [1 << exponent for exponent in range(10, 27, 2)]
"""1 kB to 64 MB."""

TRANSPORT_VARIANTS = {
    **TRANSPORTS,
    "always out of band": Transport(pipe, Packing(out_of_band_min=0)),
    "always copied": Transport(pipe, Packing(shared_copy_min=0)),
}


def format_size(nbytes: int) -> str:
    return f"{nbytes >> 20} MB" if nbytes >= 1 << 20 else f"{nbytes >> 10} kB"


@pytest.fixture(scope="module", params=TRANSPORT_VARIANTS)
def worker(request: pytest.FixtureRequest) -> Iterator[pc.Execution]:
    """One worker with one transport."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("parcount.execution.processes.execution.TRANSPORTS", TRANSPORT_VARIANTS)
        with pc.Processes(1, transport=request.param) as worker:
            yield worker


@pytest.mark.parametrize("nbytes", SIZES, ids=format_size)
def test_item(benchmark: BenchmarkFixture, worker: pc.Execution, nbytes: int) -> None:
    benchmark.group = f"an item of {format_size(nbytes)}"
    benchmark.extra_info["nbytes"] = nbytes
    item = np.ones(nbytes // 8, np.int64)
    assert benchmark(worker.map, read, [item]) == [nbytes // 8]


@pytest.mark.parametrize("nbytes", SIZES, ids=format_size)
def test_result(benchmark: BenchmarkFixture, worker: pc.Execution, nbytes: int) -> None:
    benchmark.group = f"a result of {format_size(nbytes)}"
    benchmark.extra_info["nbytes"] = nbytes
    assert benchmark(lambda: read(worker.map(make, [nbytes])[0])) == nbytes // 8
