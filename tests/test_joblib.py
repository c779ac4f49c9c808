"""joblib on executions."""

import math
import sys
from functools import partial

import pytest

import parcount as pc
from tests import plain, remote
from tests.execution.executions import Make

joblib = pytest.importorskip("joblib")
import parcount.joblib  # noqa: E402

pytestmark = pytest.mark.timeout(60)

MAKES = [
    pytest.param(lambda _: pc.Serial(), id="serial"),
    pytest.param(pc.Threads, id="threads"),
    pytest.param(pc.Processes, id="processes"),
    pytest.param(partial(pc.Processes, threads=2), id="processes-threads"),
]


@pytest.mark.parametrize("make", MAKES)
class TestBackend:
    def test_by_name(self, make: Make) -> None:
        with make(2) as execution, joblib.parallel_config(backend="parcount", on=execution):
            for n_jobs in (None, 2, -1):
                got = joblib.Parallel(n_jobs=n_jobs)(joblib.delayed(math.sqrt)(i) for i in range(100))
                assert got == [math.sqrt(i) for i in range(100)]
            stream = joblib.Parallel(return_as="generator")(joblib.delayed(abs)(-i) for i in range(10))
            assert list(stream) == list(range(10))

    def test_outside_a_block(self, make: Make) -> None:
        execution = make(2)
        with joblib.parallel_backend("parcount", on=execution):
            assert joblib.Parallel()(joblib.delayed(abs)(-i) for i in range(10)) == list(range(10))
            with joblib.Parallel() as parallel:
                assert parallel(joblib.delayed(abs)(-i) for i in range(10)) == list(range(10))
        assert not execution._entered

    def test_an_exception(self, make: Make) -> None:
        with make(2) as execution:
            backend = parcount.joblib.ExecutionBackend(execution)
            with pytest.raises(ValueError, match="3 is odd"):
                joblib.Parallel(backend=backend)(joblib.delayed(plain.fail_on_odd)(2 * i + (i == 1)) for i in range(50))
            # Another object: joblib 1.6 gives the rest of the call that failed to the next one of the same object.
            assert joblib.Parallel(backend=backend)(joblib.delayed(abs)(-i) for i in range(10)) == list(range(10))


def test_a_worker_that_dies() -> None:
    with pc.Processes(2, retries=0) as processes, joblib.parallel_config(backend="parcount", on=processes):
        with pytest.raises(pc.WorkerDied):
            joblib.Parallel()(joblib.delayed(remote.DieOn(3))(i) for i in range(6))
        assert joblib.Parallel()(joblib.delayed(abs)(-i) for i in range(10)) == list(range(10))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has one start method")
def test_its_start_method_is_not_one_of_ours() -> None:  # which newer Pythons list when joblib has been imported
    with pytest.raises(ValueError, match=r"start_method must be one of \w+, \w+, \w+ here, not 'loky'"):
        pc.Processes(2, start_method="loky")


def test_bad_arguments() -> None:
    with pytest.raises(TypeError, match="on= takes an execution such as"):
        parcount.joblib.ExecutionBackend(2)
    backend = parcount.joblib.ExecutionBackend(pc.Threads(2))
    with pytest.raises(ValueError, match="n_jobs must not be 0"):
        joblib.Parallel(n_jobs=0, backend=backend)(joblib.delayed(abs)(i) for i in range(3))
