"""Many tiny items on worker processes, against `concurrent.futures.ProcessPoolExecutor` with several chunk sizes."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import parcount as pc

ITEMS = range(-20_000, 0)
EXPECTED = [*range(20_000, 0, -1)]


@pytest.fixture(scope="module")
def processes() -> Iterator[pc.Processes]:
    with pc.Processes(2) as processes:
        yield processes


@pytest.fixture(scope="module")
def executor() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2) as executor:
        executor.submit(abs, 1).result()
        yield executor


@pytest.mark.parametrize("chunksize", [None, 500, 2500])
def test_processes(benchmark: BenchmarkFixture, processes: pc.Processes, chunksize: int | None) -> None:
    assert benchmark(lambda: processes.map(abs, ITEMS, chunksize=chunksize)) == EXPECTED


@pytest.mark.parametrize("chunksize", [100, 500, 2500, 5000])
def test_executor(benchmark: BenchmarkFixture, executor: ProcessPoolExecutor, chunksize: int) -> None:
    assert benchmark(lambda: [*executor.map(abs, ITEMS, chunksize=chunksize)]) == EXPECTED
