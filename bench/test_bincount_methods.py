"""Counting methods, which native/bincount.pyx chooses from by the number of bins.

Compare within a group: ``pytest bench/test_bincount_methods.py --benchmark-only``.
"""

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from parcount._native import bincount as native

SIZE = 10_000_000
BINS = [256, 1024, 2048, 4096, 16_384, 32_768, 65_536, 1 << 18, 1 << 20, 1 << 22, 1 << 24]
MAX_BINS = 1 << 20
"""Largest number of bins for which four interleaved tables are considered: they take twice the memory of the counts."""


CASES = [
    (method, bins) for bins in BINS for method in (None, *native.METHODS) if method != "multi-table" or bins <= MAX_BINS
]


@pytest.mark.parametrize(("method", "bins"), CASES)
def test_methods(benchmark: BenchmarkFixture, method: str | None, bins: int) -> None:
    keys = np.random.default_rng(0).integers(0, bins, SIZE)
    counts = np.zeros(bins, np.int64)
    benchmark.group = f"{bins} bins"
    benchmark.extra_info["method"] = method or "chosen"
    benchmark.pedantic(native.fill, (counts, keys, method), rounds=7, warmup_rounds=1)


@pytest.mark.parametrize("size", [1 << power for power in (8, 9, 10, 12, 16, 26)])
@pytest.mark.parametrize("method", [None, "single-table", *native.BYTE_METHODS])
def test_methods_of_bytes(benchmark: BenchmarkFixture, method: str | None, size: int) -> None:
    keys = np.random.default_rng(0).integers(0, 256, size).astype(np.uint8)
    counts = np.zeros(256, np.int64)
    benchmark.group = f"{size} bytes"
    benchmark.extra_info["method"] = method or "chosen"
    benchmark.pedantic(
        native.fill, (counts, keys, method), rounds=7, iterations=max(1, (1 << 20) // size), warmup_rounds=1
    )
