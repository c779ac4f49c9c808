"""Tables larger than the caches: what `parcount.kernels.shared_table` chooses from by the number of bins.

Compare within a group: ``pytest bench/test_large_tables.py --benchmark-only``. "private" is a table for each thread.
"""

from functools import partial
from typing import Any

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from parcount._native.partition import NarrowCells, Partitions
from parcount.engine.run import run
from parcount.engine.shared_table import count_in_shared_table
from parcount.engine.threads import choose_execution
from parcount.kernels import cython_loops
from parcount.kernels.bincount import bincount_job, bincount_weighted
from parcount.kernels.shared_table import take_keys

SIZE = 20_000_000
WAYS: dict[str, type[Any] | None] = {"private": None, "narrow cells": NarrowCells, "partitions": Partitions}


@pytest.mark.parametrize("way", [*WAYS, "numpy"])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("weighted", [False, True], ids=["counts", "sums"])
@pytest.mark.parametrize("bits", [18, 20, 22, 23, 24, 26])
def test_large_tables(benchmark: BenchmarkFixture, bits: int, weighted: bool, threads: int, way: str) -> None:
    if way == "narrow cells" and weighted:
        pytest.skip("sums have no narrower cells")
    bins = 1 << bits
    keys = np.random.default_rng(0).integers(0, bins, SIZE)
    weights = np.random.default_rng(1).random(SIZE) if weighted else None
    arrays = [keys] if weights is None else [keys, weights]
    execution = choose_execution(SIZE, threads, None)
    if way == "numpy":
        call: Any = partial(np.bincount, keys, weights)
    elif (kind := WAYS[way]) is None:
        kernel: Any = bincount_weighted if weighted else cython_loops.bincount
        call = partial(run, bincount_job(keys, weights), kernel, execution)
    else:

        def call() -> Any:
            table = np.zeros(bins, np.float64 if weighted else np.int64)
            return count_in_shared_table(table, arrays, kind, take_keys, execution, grow=True)

    benchmark.group = f"2^{bits} bins, {'sums' if weighted else 'counts'}, {threads} threads"
    benchmark.pedantic(call, rounds=7, warmup_rounds=1)
