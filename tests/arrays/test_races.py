"""Calls during which another thread changes the input: results may be anything, but nothing outside is written."""

from collections.abc import Callable, Iterator
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest

import parcount as pc
from tests.arrays.support import Array, outcome
from tests.remote import TIME_LIMIT

pytestmark = pytest.mark.thread_unsafe(reason="has another thread already")

KEYS = [0, 1, 70_000, -1]
"""Some are larger than the arrays, or negative."""

VALUES = [0.5, 70_000.0, -1.0, np.nan, np.inf, 0.25]

GUARD = 70_000
"""Cells after an array, where a key that is checked and then read again would be counted."""

EDGES = np.linspace(0, 1, 51)


@pytest.fixture(params=[9000, 40_000], ids=["small", "large"])
def changing(request: pytest.FixtureRequest) -> Iterator[tuple[Array, Array]]:
    """Keys and values that another thread changes all the time, without the GIL."""
    keys, values = np.zeros(request.param, int), np.zeros(request.param)
    states = [np.full(request.param, state) for state in [*KEYS, *VALUES]]
    done = Event()

    def change() -> None:
        while not done.is_set():
            for state in states:
                np.copyto(values if state.dtype == float else keys, state)

    changer = Thread(target=change)
    changer.start()
    yield keys, values
    done.set()
    changer.join(TIME_LIMIT)


CALLS: dict[str, Callable[..., Any]] = {
    "bincount": lambda keys, _, **how: pc.bincount(keys, **how),
    "bincount of bytes": lambda keys, _, **how: pc.bincount(keys.view(np.uint8), **how),
    "weights": lambda keys, values, **how: pc.bincount(keys, values, **how),
    "histogram": lambda _, values, **how: pc.histogram(values, 50, (0, 1), **how),
    "histogram of integers": lambda keys, _, **how: pc.histogram(keys, 50, (0, 1), **how),
    "histogram, uneven": lambda _, values, **how: pc.histogram(values, EDGES**3, **how),
    "histogram, weights": lambda _, values, **how: pc.histogram(values, EDGES, weights=values, **how),
    "histogram of float32": lambda _, values, **how: pc.histogram(values.view(np.float32), EDGES, **how),
    "histogram2d": lambda _, values, **how: pc.histogram2d(values, values, [EDGES, EDGES], **how),
    "histogramdd": lambda keys, values, **how: pc.histogramdd([keys, values], [EDGES, EDGES**3], **how),
    "histogramdd, weights": lambda keys, values, **how: pc.histogramdd(
        [keys, values], [EDGES, EDGES], weights=values, **how
    ),
    "unique_counts": lambda keys, _, **how: pc.unique_counts(keys, **how),
}


@pytest.mark.parametrize("threads", [None, 2])
@pytest.mark.parametrize("name", CALLS)
def test_keys_that_another_thread_changes_are_counted_inside(
    changing: tuple[Array, Array], name: str, threads: int | None
) -> None:
    for _ in range(30):
        with np.errstate(all="ignore"):
            outcome(CALLS[name], *changing, threads=threads)


def test_keys_that_another_thread_changes_are_each_counted_once() -> None:
    keys = np.zeros(9000, int)
    done = Event()

    def change() -> None:
        while not done.is_set():
            for key in (0, 1, 70_000):
                np.copyto(keys, key)

    changer = Thread(target=change)
    changer.start()
    sums = [pc.bincount(keys).sum() for _ in range(300)]
    done.set()
    changer.join(TIME_LIMIT)
    assert sums == [len(keys)] * 300


@pytest.mark.parametrize("threads", [None, 2])
def test_keys_that_another_thread_changes_are_added_within_the_array(
    changing: tuple[Array, Array], threads: int | None
) -> None:
    keys, values = changing
    around = np.zeros(10 + 2 * GUARD)
    integers = np.zeros(10 + 2 * GUARD, int)
    columns = np.zeros((2, 2), int)
    sums = np.zeros(len(keys), int)
    for _ in range(30):
        outcome(pc.add_at, integers[GUARD : GUARD + 10], keys, threads=threads)
        outcome(pc.add_at, integers[GUARD : GUARD + 10], keys, keys, threads=threads)
        outcome(pc.add_at, around[GUARD : GUARD + 10], keys, values, threads=threads)
        outcome(pc.add_at, columns, (keys, keys), 1, threads=threads)  # which NumPy adds
        pc.increment(sums, keys[::-1], threads=threads)
    for cells in (around, integers):
        assert not cells[:GUARD].any()
        assert not cells[GUARD + 10 :].any()


def test_keys_that_another_thread_changes_are_added_to_their_counters(changing: tuple[Array, Array]) -> None:
    keys, _ = changing
    counts = np.zeros(10 + 2 * GUARD, int)
    for _ in range(30):
        outcome(pc.bincount, keys, out=counts[GUARD : GUARD + 10])
    assert not counts[:GUARD].any()
    assert not counts[GUARD + 10 :].any()
