"""What is particular to Numba: its own threads, and the layers that run them."""

import threading

import numpy as np
import pytest

from parcount.kernels import WORKLOADS
from parcount.kernels.job import count_part
from tests.conftest import Run
from tests.kernels.support import kernel
from tests.remote import TIME_LIMIT

numba = pytest.importorskip("numba", reason="`test_workload` tests what becomes of these variants without it")

from parcount.kernels import numba_loops  # noqa: E402 - needs Numba

PARALLEL = [name for name, workload in WORKLOADS.items() if "numba-parallel" in workload.kernels]


def out_and_args(workload: str) -> tuple[np.ndarray, tuple[object, ...]]:
    (part,) = WORKLOADS[workload].make(1000).split(1)
    return (np.zeros(part.table, np.int64) if isinstance(part.table, int) else part.table), part.args


@pytest.mark.parametrize("workload", PARALLEL)
class TestThreads:
    @pytest.mark.parametrize("threads", [0, -1, numba_loops.most_threads() + 1])
    def test_more_than_numba_has_or_fewer_than_one_are_refused(self, workload: str, threads: int) -> None:
        out, args = out_and_args(workload)
        before = out.copy()
        loop = WORKLOADS[workload].kernels["numba-parallel"]
        most = numba_loops.most_threads()
        with pytest.raises(ValueError, match=rf"Numba has {most} threads here .*, not {threads}$"):
            loop(out, *args, threads=threads)
        assert np.array_equal(out, before)

    def test_numbas_own_setting_stays_what_it_was(self, workload: str) -> None:
        numba.set_num_threads(numba_loops.most_threads())
        out, args = out_and_args(workload)
        WORKLOADS[workload].kernels["numba-parallel"](out, *args, threads=1)
        assert numba.get_num_threads() == numba_loops.most_threads()


def test_numbas_own_setting_stays_what_it_was_after_an_error() -> None:
    numba.set_num_threads(numba_loops.most_threads())
    with pytest.raises(ValueError, match="outside"):
        numba_loops.bincount_parallel(np.zeros(4, np.int64), np.array([4]), threads=1)
    assert numba.get_num_threads() == numba_loops.most_threads()


def test_python_threads_can_use_numbas_at_once() -> None:
    barrier = threading.Barrier(3)
    jobs = {name: WORKLOADS[name].make(5000, 1) for name in PARALLEL if name != "increment"}
    wrong = []

    def work() -> None:
        barrier.wait(TIME_LIMIT)
        for _ in range(100):
            for name, job in jobs.items():
                (part,) = job.split(1)
                if not np.array_equal(count_part(kernel(name, "numba-parallel"), part), job.exact()):
                    wrong.append(name)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIME_LIMIT)
        assert not thread.is_alive()
    assert wrong == []


SCRIPT = """
import threading
import numpy as np
from functools import partial
from parcount.kernels.job import count_part
from parcount.kernels import numba_loops, TallyJob, WORKLOADS

assert numba_loops.threading_layer() is None
job = TallyJob(20_000, 3, 64)
part, = job.split(1)
exact = job.exact()
loop = partial(WORKLOADS["tally"].kernels["numba-parallel"], threads=numba_loops.most_threads())
barrier = threading.Barrier(2)
wrong = []

def work():
    barrier.wait(30)
    for _ in range(300):
        if not np.array_equal(count_part(loop, part), exact):
            wrong.append(1)

threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(numba_loops.threading_layer(), len(wrong))
"""


@pytest.mark.timeout(60)
@pytest.mark.slow
def test_workqueue_is_never_entered_twice_at_once(run_script: Run) -> None:
    # Without the guard it aborts the process: "Concurrent access has been detected".
    ran = run_script(SCRIPT, environment={"NUMBA_THREADING_LAYER": "workqueue", "NUMBA_NUM_THREADS": "2"})
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "workqueue 0\n"


def test_a_key_outside_in_any_threads_share_is_found() -> None:
    for position in (0, 499, 500, 999):
        keys = np.zeros(1000, np.int64)
        keys[position] = 4
        counts = np.zeros(4, np.int64)
        with pytest.raises(ValueError, match="outside 0 … 3"):
            kernel("bincount", "numba-parallel")(counts, keys)
        assert not counts.any()
