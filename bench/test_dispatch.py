"""Cost of dispatching work, and the size from which a second thread pays.

``DEFAULT_GRAIN`` of `parcount.engine.threads` follows from the groups "tally of n": two threads become faster than
one at the n that is twice the grain.
"""

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from tasks import EXECUTIONS, WORKERS, Pool, nothing

import parcount as pc
from parcount.execution.pinned_threads import PinnedThreads
from parcount.execution.threads import Threads


@pytest.mark.benchmark(group="a call on warm workers")
@pytest.mark.parametrize("call", ["map", "together"])
@pytest.mark.parametrize(("execution", "workers"), EXECUTIONS)
def test_warm(benchmark: BenchmarkFixture, pool: Pool, execution: str, workers: int, call: str) -> None:
    warm = getattr(pool(execution, workers), call)
    warm(nothing, range(workers))
    benchmark(warm, nothing, range(workers))


@pytest.mark.benchmark(group="a call that starts and ends its workers")
@pytest.mark.parametrize("workers", WORKERS)
def test_threads(benchmark: BenchmarkFixture, workers: int) -> None:
    benchmark(lambda: pc.Threads(workers).map(nothing, range(workers)))


@pytest.mark.benchmark(group="a call that starts and ends its workers")
@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_processes(benchmark: BenchmarkFixture, workers: int, method: str) -> None:
    processes = pc.Processes(workers, start_method=method)
    benchmark.pedantic(processes.map, (nothing, range(workers)), rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="20 million keys by two threads, after something else")
@pytest.mark.parametrize("kind", [Threads, PinnedThreads])
def test_woken(benchmark: BenchmarkFixture, kind: type[Threads]) -> None:
    """The reason to pin threads: the scheduler often wakes two unpinned threads on one core."""
    keys = np.full(20_000_000, 5)

    def something_else() -> None:
        np.bincount(keys)

    with kind(2) as on:
        benchmark.pedantic(pc.bincount, (keys,), {"on": on}, setup=something_else, rounds=25)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("exponent", range(15, 22))
def test_break_even(benchmark: BenchmarkFixture, exponent: int, threads: int) -> None:
    n = 1 << exponent
    benchmark.group = f"tally of {n} (2**{exponent})"
    assert benchmark(pc.tally, n, threads=threads).sum() == n
