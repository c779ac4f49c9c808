"""The loops in plain Python where there is no NumPy: on memory, and into tables of their own."""

from array import array

import numpy as np
import pytest

from parcount.kernels import WORKLOADS, python_loops
from tests.conftest import Run


@pytest.mark.parametrize("name", ["tally", "bincount", "histogram"])
def test_into_a_table_of_its_own(name: str) -> None:
    job = WORKLOADS[name].make(3000, 1)
    (part,) = job.split(1)
    args = tuple(arg.data if isinstance(arg, np.ndarray) else arg for arg in part.args)
    table = python_loops.count((f"parcount.kernels.python_loops:{name}", part.out, args))
    assert isinstance(table, array)
    assert np.array_equal(table, job.exact())


def test_into_cells_in_place() -> None:
    job = WORKLOADS["increment"].make(3000, 1)
    assert python_loops.count(("parcount.kernels.python_loops:increment", job.cells.data, ())) is None
    assert np.array_equal(job.cells, job.exact())


def test_by_a_loop_that_brings_its_table() -> None:
    assert python_loops.count(("collections:Counter", None, ("abca",))) == {"a": 2, "b": 1, "c": 1}


def test_counting_loads_no_numpy(run_script: Run) -> None:
    ran = run_script("""
import sys
from parcount.kernels import python_loops
print(python_loops.count(("parcount.kernels.python_loops:tally", 2, (0, 10, 0))))
assert "numpy" not in sys.modules
""")
    assert (ran.returncode, ran.stderr) == (0, "")
