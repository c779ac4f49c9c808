"""Counters with one cell for each thread: the cells."""

from typing import Any

import pytest

import parcount as pc
from parcount.counters.per_thread import SPARE
from tests.together import in_a_thread, repeat, together

pytestmark = pytest.mark.thread_unsafe(reason="the counter is the fixture's, and whoever else adds to it is counted")


def cells(counter: Any) -> int:
    """The number of cells."""
    return counter._shard_count if isinstance(counter, pc.ShardedCounter) else len(counter._sum.cells)


@pytest.fixture(params=[pc.ShardedCounter, pc.LocalCounter])
def counter(request: pytest.FixtureRequest) -> Any:
    """One of either kind."""
    return request.param()


def test_cells_of_ended_threads_are_freed(counter: Any) -> None:
    for _ in range(500):
        together(*[repeat(counter.increment, 3)] * 4)
        assert cells(counter) <= 2 * 5 + SPARE + 1
    assert counter.value == 6000
    assert cells(counter) == 0


def test_each_thread_and_each_handle_has_a_cell() -> None:
    counter = pc.ShardedCounter()
    for _ in range(3):
        counter.increment()
    assert counter._shard_count == 1
    handles = [counter.local() for _ in range(3)]
    assert counter._shard_count == 4
    handles[1].add(5)
    del handles[1]
    assert counter._shard_count == 3
    assert counter.value == 8


def test_a_local_counter_has_one_handle_a_thread() -> None:
    counter = pc.LocalCounter()
    assert counter.local() is counter.local()
    assert in_a_thread(counter.local) is not counter.local()


def test_only_its_thread_writes_a_cell(counter: Any) -> None:
    handle = counter.local()
    handle.add(3)
    in_a_thread(repeat(handle.increment, 100))
    assert counter.value == 103
    handle.increment()
    assert counter.value == 104


def test_a_full_cell_goes_to_the_base(counter: Any) -> None:
    for handle in (counter, counter.local()):
        for sign in (1, -1):
            for _ in range(1100):
                handle.add(sign << 31)
    assert counter.value == 0
    counter.add(1 << 62)
    counter.add(1 << 40)
    assert counter.value == (1 << 62) + (1 << 40)


def test_cells_of_many_threads_near_the_limit(counter: Any) -> None:
    # Sums are compared with the limit from a base of 2**62 on; the counts of the cells move the base beyond that.
    counter.add((1 << 62) - 1000)
    together(*[repeat(lambda: counter.add(1 << 32), 2000)] * 4)
    assert counter.value == (1 << 62) - 1000 + (8000 << 32)
    counter.add((1 << 63) - 1 - counter.value)
    with pytest.raises(OverflowError):
        counter.increment()
    assert counter.reset() == (1 << 63) - 1
    counter.increment()
    assert counter.value == 1
