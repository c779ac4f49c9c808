from __future__ import annotations

import pytest

from parcount.kernels import WORKLOADS
from parcount.kernels.job import count_part
from parcount.shm.blocks import block_of
from parcount.studies.core.counting import to_shared_memory


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_placed_job_counts_the_same_from_shared_memory(name: str) -> None:
    job = WORKLOADS[name].make(5000, seed=3)
    placed = to_shared_memory(job)
    assert placed.size == 5000
    assert (placed.exact() == job.exact()).all()
    assert all(block_of(array) is not None for array in getattr(placed, "arrays", []))


def test_the_original_is_left_alone() -> None:
    job = WORKLOADS["increment"].make(100)
    placed = to_shared_memory(job)
    count_part(WORKLOADS["increment"].kernels["cython"], placed.split(1)[0])
    assert (job.exact() == WORKLOADS["increment"].make(100).exact()).all()
    assert block_of(job.arrays[0]) is None  # type: ignore[attr-defined]
