"""Items that travel to worker processes together."""

from __future__ import annotations

import itertools
import operator
import sys
from collections.abc import Iterator
from threading import Lock
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import parcount as pc
from parcount.execution.chunks import GROWTH, LARGE_BYTES, TARGET_SECONDS, ChunkSize
from parcount.execution.processes import streams
from tests import plain, remote
from tests.execution.executions import TRANSPORTED

pytestmark = pytest.mark.timeout(60)

kills = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to kill a process with")


@pytest.fixture(scope="module", params=TRANSPORTED)
def pool(request: pytest.FixtureRequest) -> Iterator[pc.Processes]:
    with pc.Processes(2, **request.param) as pool:
        yield pool


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of items in each message that is sent."""
    counts: list[int] = []
    real = streams.ChunkStream.submit

    def submit(self: Any, position: int, item: Any) -> None:
        counts.append(1 if position in self.singles else len(item[1]))
        real(self, position, item)

    monkeypatch.setattr(streams.ChunkStream, "submit", submit)
    return counts


class TestSize:
    @given(st.integers(0, 300), st.integers(1, 50), st.integers(1, 4))
    def test_a_fixed_size_cuts_all_items(self, items: int, size: int, workers: int) -> None:
        chunks = [*ChunkSize(size, workers).chunks(range(items))]
        assert [item for _, chunk in chunks for item in chunk] == [*range(items)]
        assert all(chunk[0] == start for start, chunk in chunks)
        assert all(len(chunk) == size for _, chunk in chunks[:-1])

    @given(st.integers(0, 3000), st.lists(st.floats(1e-7, 1.0), min_size=1), st.integers(1, 4))
    def test_whatever_is_measured_every_item_is_in_one_chunk(self, items: int, each: list[float], workers: int) -> None:
        sizes = ChunkSize(None, workers)
        seen: list[int] = []
        for number, (start, chunk) in enumerate(sizes.chunks(range(items))):
            assert start == len(seen)
            seen += chunk
            sizes.adjust(len(chunk), len(chunk) * each[number % len(each)], 100)
        assert seen == [*range(items)]

    def test_tiny_items_travel_together_large_and_long_ones_alone(self) -> None:
        sizes = ChunkSize(None, 2)
        sizes.adjust(1, 1e-6, 100)
        assert sizes.usual == GROWTH
        sizes.adjust(GROWTH, 1e-5, 100)
        assert sizes.usual == GROWTH**2
        sizes.adjust(1, 1e-6, LARGE_BYTES + 1)
        assert sizes.usual == 1
        sizes.adjust(8, 8 * TARGET_SECONDS, 100)
        assert sizes.usual == 1


class TestMap:
    @pytest.mark.parametrize("chunksize", [None, 1, 7, 1000])
    def test_results_are_in_the_order_of_the_items(self, pool: pc.Processes, chunksize: int | None) -> None:
        assert pool.map(abs, range(-500, 0), chunksize=chunksize) == [*range(500, 0, -1)]

    @settings(max_examples=10, deadline=None)
    @given(items=st.lists(st.integers(-1000, 1000)), chunksize=st.none() | st.integers(1, 20))
    def test_any_list_in_any_chunks(self, pool: pc.Processes, items: list[int], chunksize: int | None) -> None:
        assert pool.map(abs, items, chunksize=chunksize) == [abs(item) for item in items]

    def test_many_tiny_items_take_few_messages(self, sent: list[int]) -> None:
        with pc.Processes(2) as pool:
            assert pool.map(abs, range(-20_000, 0)) == [*range(20_000, 0, -1)]
        assert sum(sent) == 20_000
        assert len(sent) < 2000

    @pytest.mark.parametrize("given", [{"idempotent": False}, {"chunksize": 1}])
    def test_items_that_may_not_be_run_again_travel_alone(self, sent: list[int], given: dict[str, Any]) -> None:
        with pc.Processes(2) as pool:
            assert pool.map(abs, range(-100, 0), **given) == [*range(100, 0, -1)]
        with pc.Processes(2, retries=0) as pool:
            assert pool.map(abs, range(-100, 0)) == [*range(100, 0, -1)]
        assert sent == []

    def test_progress_is_told_of_every_item(self, pool: pc.Processes) -> None:
        told: list[tuple[int, int]] = []
        pool.map(abs, range(50), progress=lambda *now: told.append(now), chunksize=8)
        assert told == [(done, 50) for done in range(1, 51)]

    def test_arrays_of_a_chunk(self, pool: pc.Processes) -> None:
        arrays = [np.full(size, size) for size in (0, 1, 10, 100_000, 300_000)] * 3
        for sent, back in zip(arrays, pool.map(remote.echo, arrays, chunksize=4), strict=True):
            np.testing.assert_array_equal(sent, back)

    @pytest.mark.parametrize(
        ("size", "error"), [(0, ValueError), (-3, ValueError), (1.5, TypeError), (True, TypeError)]
    )
    def test_an_invalid_size_is_refused(self, size: Any, error: type[Exception]) -> None:
        for pool in (pc.Processes(2), pc.Serial(), pc.Threads(2)):
            with pytest.raises(error, match="chunksize must be"):
                pool.map(abs, [1, 2, 3], chunksize=size)

    def test_the_first_failure_in_the_order_of_the_items_is_raised(self, pool: pc.Processes) -> None:
        with pytest.raises(ValueError, match="41 is odd"):
            pool.map(plain.fail_on_odd, [*range(0, 40, 2), 41, 42, 43], chunksize=5)
        assert pool.map(abs, [-1] * 10) == [1] * 10

    def test_an_item_that_cannot_be_sent_is_named(self, pool: pc.Processes) -> None:
        items = [*range(30), [1, {"lock": Lock()}], *range(10)]
        with pytest.raises(TypeError, match=r"item 30: \[1\]\['lock'\], a _thread.lock, cannot be sent to a worker"):
            pool.map(remote.echo, items, chunksize=16)
        assert pool.map(abs, [-1] * 10) == [1] * 10

    def test_the_item_of_a_result_that_cannot_be_sent_is_named(self, pool: pc.Processes) -> None:
        with pytest.raises(
            TypeError, match=r"the result of item 21: \['made'\], a _thread.lock, cannot be sent to the"
        ):
            pool.map(remote.lock_on_odd, [*range(0, 40, 2), 40, 41, 43], chunksize=8)
        assert pool.map(abs, [-1] * 10) == [1] * 10


class TestImap:
    @pytest.mark.parametrize("chunksize", [1, 7, 1000])
    def test_results(self, pool: pc.Processes, chunksize: int) -> None:
        assert [*pool.imap(abs, range(-100, 0), chunksize=chunksize)] == [*range(100, 0, -1)]
        assert sorted(pool.imap_unordered(abs, range(-100, 0), chunksize=chunksize)) == [*range(1, 101)]

    def test_of_an_infinite_iterable(self, pool: pc.Processes) -> None:
        results = pool.imap(operator.neg, itertools.count(), chunksize=5)
        assert [next(results) for _ in range(23)] == [-number for number in range(23)]
        results.close()
        assert pool.map(abs, [-1]) == [1]

    def test_exceptions(self, pool: pc.Processes) -> None:
        def items() -> Iterator[int]:
            yield from range(0, 20, 2)
            raise LookupError("the iterable failed")

        got: list[int] = []
        with pytest.raises(LookupError, match="the iterable failed"):
            got.extend(pool.imap(plain.fail_on_odd, items(), chunksize=4))
        assert got == [0, 2, 4, 6, 8, 10, 12, 14]
        with pytest.raises(ValueError, match="9 is odd"):
            list(pool.imap(plain.fail_on_odd, [2, 4, 6, 8, 9, 10], chunksize=3))

    def test_executions_that_share_memory_take_it_too(self) -> None:
        for execution in (pc.Serial(), pc.Threads(2)):
            assert [*execution.imap(abs, range(-10, 0), chunksize=3)] == [*range(10, 0, -1)]
            with pytest.raises(ValueError, match="chunksize must be at least 1, not 0"):
                execution.imap(abs, [1], chunksize=0)


@kills
class TestDeaths:
    @pytest.mark.parametrize("victim", [0, 17, 39])
    def test_the_items_of_a_chunk_whose_worker_died_are_tried_again_one_by_one(
        self, pool: pc.Processes, victim: int
    ) -> None:
        tried = pc.shared_array(40)
        assert pool.map(remote.DieAtFirst(tried, victim, 2), range(40), chunksize=10) == [*range(40)]
        assert tried[victim] == 3
        assert tried.max() <= 3
        outside = np.delete(tried, range(victim // 10 * 10, victim // 10 * 10 + 10))
        assert outside.tolist() == [1] * 30

    def test_the_guilty_item_is_named(self, pool: pc.Processes) -> None:
        with pytest.raises(pc.WorkerDied) as raised:
            pool.map(remote.DieOn(23), range(40), chunksize=10)
        assert (raised.value.part, raised.value.tries) == (23, 3)
        assert "item 23 was killed by SIGKILL" in str(raised.value)

    def test_the_timeout_holds_for_each_item(self) -> None:
        with (
            pc.Processes(2, timeout=1, retries=1) as pool,
            pytest.raises(pc.WorkerDied, match="timeout of 1 s") as raised,
        ):
            pool.map(remote.HangOn(3), range(8), chunksize=2)
        assert raised.value.part == 3
