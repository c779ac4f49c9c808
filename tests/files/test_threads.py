"""The threads of one count: results as they come, and nothing that goes on after an error."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from unittest.mock import patch

import pytest

from parcount._native.cancellation import Cancelled, raise_if_cancelled
from parcount.files.threads import map_unordered
from tests.remote import TIME_LIMIT, until


def test_all_results_of_items_that_are_taken_when_they_are_needed() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(100):
            taken += 1
            yield number

    found = []
    for result in map_unordered(lambda number: number * number, items(), 3):
        found.append(result)
        assert taken <= len(found) + 6
    assert sorted(found) == [number * number for number in range(100)]


def test_the_first_exception_ends_the_loops_of_the_others() -> None:
    before = threading.active_count()
    waiting = threading.Event()
    ended = threading.Event()

    def work(number: int) -> None:
        if number:
            assert waiting.wait(TIME_LIMIT)
            raise ValueError(number)
        waiting.set()
        try:
            until(raise_if_cancelled, "never cancelled")
        except Cancelled:
            ended.set()
            raise

    with pytest.raises(ValueError, match="1"):
        list(map_unordered(work, range(2), 2))
    assert ended.is_set()
    assert threading.active_count() == before


def test_a_caller_that_stops_drops_what_was_not_begun() -> None:
    before = threading.active_count()
    done = []
    results = map_unordered(done.append, range(1000), 2)
    next(results)
    results.close()
    assert len(done) <= 4
    assert threading.active_count() == before


@pytest.mark.parametrize("started", [0, 1])
def test_threads_that_cannot_be_started(started: int) -> None:
    left = started
    real = threading.Thread.start

    def start(self: threading.Thread) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise RuntimeError("can't start new thread")
        real(self)

    with patch("threading.Thread.start", start):
        assert sorted(map_unordered(abs, range(-20, 0), 3)) == list(range(1, 21))


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity here")
def test_the_cores_of_the_caller_stay_as_they_are() -> None:
    before = os.sched_getaffinity(0)
    seen = list(map_unordered(lambda _: frozenset(os.sched_getaffinity(0)), range(50), len(before)))
    assert os.sched_getaffinity(0) == before
    assert all(cores <= before for cores in seen)
    assert sum(map(len, {*seen})) <= len(before)
