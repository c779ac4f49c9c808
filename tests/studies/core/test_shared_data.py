from __future__ import annotations

import numpy as np
import pytest

from parcount.kernels import WORKLOADS, Job
from parcount.shm.blocks import block_of
from parcount.studies.core.shared_data import to_shared_memory


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_placed_job_counts_the_same_from_shared_memory(name: str) -> None:
    job = WORKLOADS[name].make(5000, seed=3)
    placed = to_shared_memory(job)
    assert placed.size == 5000
    assert (placed.exact() == job.exact()).all()
    arrays = [value for value in vars(placed).values() if isinstance(value, np.ndarray)]
    assert all(block_of(array) is not None for array in arrays)
    assert all(block_of(part.args[0]) is not None for part in placed.split(3) if name in ("bincount", "histogram"))


def test_the_original_is_left_alone() -> None:
    job = WORKLOADS["increment"].make(100)
    placed = to_shared_memory(job)
    WORKLOADS["increment"].kernels["cython"](placed.split(1)[0])
    assert (job.exact() == WORKLOADS["increment"].make(100).exact()).all()
    assert block_of(job.cells) is None  # type: ignore[attr-defined]


def test_what_is_no_dataclass_is_refused() -> None:
    class Odd(Job):
        size = 1
        head = split = merge = exact = lambda *_: None  # type: ignore[assignment]

    with pytest.raises(TypeError, match="Odd is not a dataclass"):
        to_shared_memory(Odd())
