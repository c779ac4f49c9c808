"""Ways to find the bin of a value, which native/bin_search.h chooses from.

Compare within a group: ``pytest bench/test_bin_search.py --benchmark-only``.
"""

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from parcount._native.histogram import BinSearch

SIZE = 5_000_000
EDGES = {
    "uniform": np.linspace(0, 1, 101),
    "uneven": np.sort(np.random.default_rng(3).random(51)),
    "two close together": np.sort(np.random.default_rng(100).random(51)),
    "each a third larger": 1.33 ** np.arange(-50.0, 1),
    "heavy tails": np.sort(np.random.default_rng(0).standard_cauchy(1001)),
    "with infinite ends": np.array([-np.inf, 0.2, 0.5, 0.7, np.inf]),
}


@pytest.mark.parametrize("edges", EDGES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("by", [None, "linear", "logarithmic", "centred"])
def test_bin_search(benchmark: BenchmarkFixture, by: str | None, dtype: str, edges: str) -> None:
    random = np.random.default_rng(0)
    values = (random.standard_cauchy(SIZE) if edges == "heavy tails" else random.random(SIZE)).astype(dtype)
    search = BinSearch(EDGES[edges], dtype == "float32", by)
    counts = np.zeros(search.bins, np.int64)
    benchmark.group = f"{edges}, {dtype}"
    benchmark.pedantic(search.count, (counts, values), rounds=7, warmup_rounds=1)


@pytest.mark.parametrize("edges", EDGES)
def test_build(benchmark: BenchmarkFixture, edges: str) -> None:
    """What a call on few values pays before it counts."""
    benchmark.group = "build"
    benchmark(BinSearch, EDGES[edges])
