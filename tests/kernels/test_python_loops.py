"""The loops in plain Python where there is no NumPy: on memory, and into tables of their own."""

from array import array
from collections import Counter

import numpy as np
import pytest

from parcount.kernels import WORKLOADS, python_loops
from tests.conftest import Run


@pytest.mark.parametrize("name", ["tally", "bincount", "histogram"])
def test_into_a_table_of_its_own(name: str) -> None:
    job = WORKLOADS[name].make(3000, 1)
    (part,) = job.split(1)
    args = tuple(arg.data if isinstance(arg, np.ndarray) else arg for arg in part.args)
    table = python_loops.count_part(WORKLOADS[name].kernels["python"], (part.table, args))
    assert isinstance(table, array)
    assert np.array_equal(table, job.exact())


def test_into_cells_in_place() -> None:
    job = WORKLOADS["increment"].make(3000, 1)
    assert python_loops.count_part(WORKLOADS["increment"].kernels["python"], (job.arrays[0].data, ())) is None
    assert np.array_equal(job.arrays[0], job.exact())


def test_by_a_kernel_without_a_table() -> None:
    assert python_loops.count_part(lambda _, word: Counter(word), (None, ("abca",))) == {"a": 2, "b": 1, "c": 1}


def test_counting_loads_no_numpy(run_script: Run) -> None:
    ran = run_script("""
import sys
from parcount.kernels import python_loops
print(python_loops.count_part(python_loops.tally, (2, (0, 10, 0))))
assert "numpy" not in sys.modules
""")
    assert (ran.returncode, ran.stderr) == (0, "")
