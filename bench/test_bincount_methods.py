"""Which method counts fastest, by the number of bins: what the choice in native/bincount.pyx rests on.

Compare within a group: ``pytest bench/test_bincount_methods.py --benchmark-only``.
"""

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from parcount._native import bincount as native

SIZE = 10_000_000
BINS = [256, 1024, 2048, 4096, 16_384, 32_768, 65_536, 1 << 18, 1 << 20, 1 << 22, 1 << 24]
MOST_FOR_LANES = 1 << 20
"""Four tables of more bins than these are no choice: their cells take twice the memory of the counts themselves."""


@pytest.mark.parametrize("bins", BINS)
@pytest.mark.parametrize("method", [None, *native.METHODS])
def test_methods(benchmark: BenchmarkFixture, method: str | None, bins: int) -> None:
    if method == "lanes" and bins > MOST_FOR_LANES:
        pytest.skip("four tables of this size are no choice")
    keys = np.random.default_rng(0).integers(0, bins, SIZE)
    counts = np.zeros(bins, np.int64)
    benchmark.group = f"{bins} bins"
    benchmark.extra_info["method"] = method or "chosen"
    benchmark.pedantic(native.fill, (counts, keys, method), rounds=7, warmup_rounds=1)
    benchmark.extra_info["ns_per_key"] = benchmark.stats.stats.median / SIZE * 1e9 if benchmark.stats else None
