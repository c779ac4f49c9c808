"""Cost of an increment by each kind of counter: ``pytest bench/test_counters.py --benchmark-only``.

One thread, a thousand increments per round. bench/counters.py measures two workers too, and checks minimum ratios.
"""

from collections import Counter
from collections.abc import Callable
from itertools import count, repeat
from multiprocessing import Value
from typing import Any

import cereggii
import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import parcount as pc

TIMES = 1000


def times(increment: Callable[..., Any], *arguments: Any) -> Callable[[], None]:
    """A loop of increments; its own cost is part of every time."""

    def loop() -> None:
        for _ in repeat(None, TIMES):
            increment(*arguments)

    return loop


class Locked:
    """`multiprocessing.Value`, incremented as its documentation shows."""

    def __init__(self) -> None:
        self.value: Any = Value("q", 0)

    def increment(self) -> None:
        """Add one."""
        with self.value.get_lock():
            self.value.value += 1

    def __int__(self) -> int:
        return int(self.value.value)


KINDS: dict[str, Any] = {
    "locked": pc.LockedCounter,
    "atomic": pc.AtomicCounter,
    "sharded": pc.ShardedCounter,
    "local": pc.LocalCounter,
    "shared": pc.SharedCounter,
    "multiprocessing.Value": Locked,
}


OURS = [name for name, kind in KINDS.items() if kind is not Locked]


@pytest.mark.benchmark(group="increment")
@pytest.mark.parametrize("kind", KINDS)
def test_increment(benchmark: BenchmarkFixture, kind: str) -> None:
    counter = KINDS[kind]()
    benchmark(times(counter.increment))
    assert int(counter) % TIMES == 0


@pytest.mark.benchmark(group="increment")
@pytest.mark.parametrize("kind", OURS)
def test_handle(benchmark: BenchmarkFixture, kind: str) -> None:
    benchmark(times(KINDS[kind]().local().increment))


@pytest.mark.benchmark(group="increment")
@pytest.mark.parametrize(
    "increment", [count().__next__, cereggii.AtomicInt64(0).increment_and_get], ids=["itertools.count", "cereggii"]
)
def test_peer(benchmark: BenchmarkFixture, increment: Callable[[], Any]) -> None:
    benchmark(times(increment))


@pytest.mark.benchmark(group="add 3")
@pytest.mark.parametrize("kind", OURS)
def test_add(benchmark: BenchmarkFixture, kind: str) -> None:
    counter = KINDS[kind]()
    benchmark(times(counter.add, 3))
    assert int(counter) % (3 * TIMES) == 0


@pytest.mark.benchmark(group="one key")
@pytest.mark.parametrize("kind", ["CounterArray", "CounterArray, shared", "ConcurrentCounter"])
def test_key(benchmark: BenchmarkFixture, kind: str) -> None:
    cells: Any = pc.ConcurrentCounter() if kind == "ConcurrentCounter" else pc.CounterArray(10, "shared" in kind)
    benchmark(times(cells.add, 3))
    assert cells[3] % TIMES == 0


@pytest.mark.benchmark(group="a million words")
@pytest.mark.parametrize("kind", [Counter, pc.ConcurrentCounter], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("distinct", [1000, 500_000])
def test_update(benchmark: BenchmarkFixture, kind: Any, distinct: int) -> None:
    words = [f"word{rank}" for rank in np.random.default_rng(0).integers(0, distinct, 1_000_000)]
    benchmark.group = f"a million words, {distinct} distinct"

    def update() -> Any:
        counter = kind()
        counter.update(words)
        return counter

    assert benchmark(update).total() == len(words)


@pytest.mark.parametrize("cells", [16, 65_536, 1 << 20])
@pytest.mark.parametrize("keys", [100, 1_000_000])
def test_add_at(benchmark: BenchmarkFixture, cells: int, keys: int) -> None:
    benchmark.group = f"{keys} keys"
    counter = pc.CounterArray(cells)
    benchmark(counter.add_at, np.random.default_rng(0).integers(0, cells, keys))
    assert counter.values().sum() % keys == 0
