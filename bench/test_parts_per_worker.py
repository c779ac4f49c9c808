"""Number of parts that a job is split into for each worker process.

``MIN_PART_SIZE`` and ``MIN_PART_SIZE_PER_BIN`` of `parcount.engine.run`, and `parts_per_worker` of `Processes`, are the
fastest of each group. Of two equally fast numbers the larger is used: smaller parts balance the load when another
program slows one worker.
"""

from collections.abc import Iterator

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import parcount as pc
from parcount.engine import run as engine


@pytest.fixture(scope="module")
def workers() -> Iterator[pc.Processes]:
    with pc.Processes(2) as workers:
        yield workers


@pytest.mark.parametrize("shares", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("bins", [256, 1 << 14, 1 << 18])
@pytest.mark.parametrize("where", ["ordinary", "shared"])
@pytest.mark.parametrize("exponent", [22, 24, 26])
def test_bincount(
    benchmark: BenchmarkFixture,
    workers: pc.Processes,
    monkeypatch: pytest.MonkeyPatch,
    exponent: int,
    where: str,
    bins: int,
    shares: int,
) -> None:
    benchmark.group = f"2**{exponent} int32 in {where} memory, {bins} bins"
    keys = (np.empty if where == "ordinary" else pc.shared_array)(1 << exponent, np.int32)
    keys[:] = np.random.default_rng(0).integers(0, bins, len(keys), np.int32)
    monkeypatch.setattr(engine, "number_of_parts", lambda *_, **__: shares * workers.workers)
    benchmark(pc.bincount, keys, on=workers)
