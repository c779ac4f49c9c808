"""Every workload in every variant on every execution, with 1, 2, … workers.

Workers are running, code is compiled, and the data is in shared memory. A round takes some hundredths of a second,
which makes the cost of dispatching the parts (`test_dispatch`) negligible. Variants differ in the number of increments:
compare ``increments_per_second`` in the extra information.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from tasks import EXECUTIONS, Pool

from parcount.engine.run import run
from parcount.kernels import VARIANTS, WORKLOADS, Counts, Job
from parcount.studies.core.counting import to_shared_memory

SIZES = {
    "tally": {"python": 1 << 17, "numpy": 1 << 22, "compiled": 1 << 25},
    "increment": {"python": 1 << 20, "numpy": 1 << 24, "compiled": 1 << 24},
    "bincount": {"python": 1 << 20, "numpy": 1 << 24, "compiled": 1 << 24},
    "histogram": {"python": 1 << 18, "numpy": 1 << 21, "compiled": 1 << 24},
}
"""Increments in one round."""


@dataclass
class Data:
    """The data of a workload, in shared memory."""

    workload: str
    job: Job
    exact: dict[int, Counts]

    def for_variant(self, variant: str) -> tuple[Job, Counts]:
        """The part of the data that the variant counts in a round, and the exact counts."""
        sizes = SIZES[self.workload]
        job = self.job.head(sizes.get(variant, sizes["compiled"]))
        job.reset()
        if job.size not in self.exact:
            self.exact[job.size] = job.exact()
        return job, self.exact[job.size]


@pytest.fixture(scope="module", params=WORKLOADS)
def data(request: pytest.FixtureRequest) -> Data:
    workload = WORKLOADS[request.param]
    return Data(workload.name, to_shared_memory(workload.make(max(SIZES[workload.name].values()))), {})


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("execution", "workers"), EXECUTIONS)
def test_count(benchmark: BenchmarkFixture, data: Data, variant: str, execution: str, workers: int, pool: Pool) -> None:
    if missing := VARIANTS[variant].missing():
        pytest.skip(missing)
    benchmark.group = data.workload
    job, exact = data.for_variant(variant)
    kernel, on = WORKLOADS[data.workload].kernels[variant], pool(execution, workers)
    assert np.array_equal(run(job, kernel, on), exact)  # also starts the workers and compiles in each of them
    benchmark.pedantic(run, (job, kernel, on), setup=job.reset, rounds=10)
    benchmark.extra_info.update(variant=variant, execution=execution, workers=workers, increments=job.size)
    if benchmark.stats is not None:
        benchmark.extra_info["increments_per_second"] = round(job.size / benchmark.stats.stats.median)
