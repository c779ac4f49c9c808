"""What is chosen for keys in a large table, and how its parts are shared out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parcount._native.partition import CELLS, NarrowCells, Partitions, add_narrow, count_partitions
from parcount.kernels.shared_table import (
    MIN_BINS,
    MIN_BINS_OF_PARTITIONS,
    MIN_BINS_OF_SUMS,
    MIN_CHUNK,
    chunks,
    class_for,
    shares,
)

SCATTERED = np.random.default_rng(0).integers(0, MIN_BINS_OF_PARTITIONS, 1 << 20)


@pytest.mark.parametrize(
    ("keys", "bins", "workers", "expected"),
    [
        (SCATTERED, MIN_BINS - 1, 2, None),
        (SCATTERED, MIN_BINS, 1, None),
        (SCATTERED, MIN_BINS, 2, NarrowCells),
        (SCATTERED, MIN_BINS_OF_PARTITIONS, 1, Partitions),
        (SCATTERED.astype(">i4"), MIN_BINS_OF_PARTITIONS, 2, Partitions),
        (SCATTERED.astype("i2"), MIN_BINS_OF_PARTITIONS, 2, None),
        (SCATTERED[:100], MIN_BINS_OF_PARTITIONS, 2, None),
        (np.sort(SCATTERED), MIN_BINS_OF_PARTITIONS, 1, None),
        (np.sort(SCATTERED), MIN_BINS_OF_PARTITIONS, 2, NarrowCells),
    ],
)
def test_class_for_keys(keys: np.ndarray, bins: int, workers: int, expected: object) -> None:
    assert class_for([keys], bins, workers) is expected


def test_class_for_keys_with_weights() -> None:
    weights = np.ones(len(SCATTERED))
    assert class_for([SCATTERED, weights], MIN_BINS_OF_SUMS, 1) is Partitions
    assert class_for([SCATTERED, weights], MIN_BINS_OF_SUMS - 1, 2) is None
    assert class_for([np.sort(SCATTERED), weights], MIN_BINS_OF_SUMS, 2) is None


def test_only_what_takes_room_for_each_key_is_chunked() -> None:
    keys, weights = SCATTERED.astype("i4").repeat(9), np.ones(9 * len(SCATTERED), "i1")
    assert len(keys) > 2 * MIN_CHUNK
    assert chunks([keys], 10, Partitions) == 2
    assert chunks([keys, weights], 10, Partitions) == 3
    assert chunks([keys, weights], 3 * MIN_CHUNK, Partitions) == 1
    assert chunks([keys], 10, NarrowCells) == 1


@given(st.lists(st.integers(0, 1 << 40), min_size=1, max_size=30), st.integers(1, 9))
def test_shares_are_all_parts_once_and_none_exceeds_its_share_by_more_than_a_part(
    sizes: list[int], workers: int
) -> None:
    found = shares(np.array(sizes), workers)
    assert [part for start, stop in found for part in range(start, stop)] == [*range(len(sizes))]
    assert len(found) == workers
    costs = [size + CELLS for size in sizes]
    assert all(sum(costs[start:stop]) <= sum(costs) / workers + max(costs) for start, stop in found)


class TestWrongArguments:
    def test_more_keys_than_room(self) -> None:
        for counted in (Partitions(10, 3), NarrowCells(10, 3)):
            with pytest.raises(ValueError, match="no room for 4 more keys"):
                counted.add(np.zeros(4, np.int64))

    def test_weights(self) -> None:
        with pytest.raises(ValueError, match="without weights"):
            Partitions(10, 3).add_weighted(np.zeros(1, np.int64), np.zeros(1))
        with pytest.raises(ValueError, match="with weights"):
            Partitions(10, 3, True).add(np.zeros(1, np.int64))
        with pytest.raises(ValueError, match="2 keys need as many weights, not 1"):
            Partitions(10, 3, True).add_weighted(np.zeros(2, np.int64), np.zeros(1))

    def test_a_table_that_is_too_short_and_ranges_that_are_not_there(self) -> None:
        table = np.zeros(10, np.int64)
        with pytest.raises(ValueError, match="11 bins do not fit into a table of 10"):
            count_partitions(table, [Partitions(11, 1)], 0, 1)
        with pytest.raises(ValueError, match="11 bins do not fit into a table of 10"):
            add_narrow(table, [NarrowCells(11, 1)], 0, 1)
        for first, stop in ((0, 2), (-1, 1), (1, 0)):
            with pytest.raises(ValueError, match="have no ranges from"):
                count_partitions(table, [Partitions(10, 1)], first, stop)
            with pytest.raises(ValueError, match="have no ranges from"):
                add_narrow(table, [NarrowCells(10, 1)], first, stop)

    def test_without_keys_nothing_is_largest(self) -> None:
        for counted in (Partitions(200_000, 3), NarrowCells(200_000, 3)):
            assert counted.largest() == -1
            counted.add(np.array([70_000, 5]))
            assert counted.largest() == 70_000
            counted.clear()
            assert counted.largest() == -1
