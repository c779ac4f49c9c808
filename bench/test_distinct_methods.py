"""Ways to count distinct keys, which `kernels/unique_counts.py` chooses from, with few and many distinct keys."""

from typing import Any

import numpy as np
import pytest

from parcount._native.distinct import HashTable, RangeTable
from parcount.kernels.unique_counts import count_by_partitioning

SIZE = 4_000_000
SCATTER = np.uint64(0xD1342543DE82EF95)


def near(keys: np.ndarray) -> Any:
    table = RangeTable(0, int(keys.max()) + 1)
    table.add(keys)
    return table.result()


def hashed(keys: np.ndarray) -> Any:
    table = HashTable()
    taken = table.add(keys)
    assert taken == len(keys)
    return table.result()


def partitioned(keys: np.ndarray) -> Any:
    values, counts = zip(*count_by_partitioning(keys), strict=True)
    return np.concatenate(values), np.concatenate(counts)


@pytest.mark.parametrize("method", [near, hashed, partitioned], ids=lambda method: method.__name__)
@pytest.mark.parametrize("distinct", [1, 256, 4096, 65_536, 250_000])
def test_distinct_methods(benchmark: Any, method: Any, distinct: int) -> None:
    keys = np.random.default_rng(0).integers(0, distinct, SIZE)
    if method is not near:
        keys = (keys.astype(np.uint64) * SCATTER).view(np.int64)
    benchmark.group = f"{distinct} distinct keys"
    _, counts = benchmark(method, keys)
    assert counts.sum() == SIZE
