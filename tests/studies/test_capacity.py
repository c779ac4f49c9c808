from __future__ import annotations

import threading

import pytest

from parcount.execution.base import Execution
from parcount.studies.capacity import LEARNING, Capacity


class Told(Capacity):
    """Probes that take as long as a test says."""

    def __init__(self, seconds: list[float]) -> None:
        super().__init__()
        self.seconds = seconds
        self.asked: list[int] = []

    def _probe(self, on: Execution) -> float:
        self.asked.append(on.workers)
        return self.seconds.pop(0)


def test_the_lack_is_against_the_best_that_so_many_cores_gave() -> None:
    best_of = {1: 0.002, 2: 0.004}
    learning = [[0.009, *[best_of[workers]] * (LEARNING - 1)] for workers in (1, 2)]
    capacity = Told([0.002, *learning[0], 0.002, *learning[1], 0.008, 0.004, 0.0025])
    with capacity:
        assert capacity.lack(1) == 0
        assert capacity.lack(2) == pytest.approx(0.5)
        assert capacity.lack(2) == 0
        assert capacity.lack(1) == pytest.approx(0.2)
    assert capacity.asked == [1] * (LEARNING + 2) + [2] * (LEARNING + 2) + [1]


def test_a_better_probe_becomes_the_best() -> None:
    with Told([0.002, *[0.004] * LEARNING, 0.003, 0.004]) as capacity:
        assert capacity.lack(1) == 0
        assert capacity.lack(1) == pytest.approx(0.25)


def test_real_probes_give_shares_and_leave_no_thread() -> None:
    before = threading.active_count()
    with Capacity() as capacity:
        assert capacity.size > 1 << 10
        for workers in (1, 2, 3):
            assert all(0 <= capacity.lack(workers) < 1 for _ in range(3))
    assert threading.active_count() == before
