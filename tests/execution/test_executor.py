"""Executions as executors, as Python's and other libraries use them; `pythons_own` has Python's tests of executors."""

import asyncio
import gc
import operator
import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, Future, wait

import pytest

import parcount as pc
from tests import plain, remote
from tests.conftest import Run
from tests.execution.executions import OURS, Make, cells
from tests.plain import until
from tests.remote import TIME_LIMIT

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module", params=OURS)
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    with request.param(2).as_executor() as executor:
        yield executor


def test_map(executor: Executor) -> None:
    assert list(executor.map(operator.neg, range(50))) == [-i for i in range(50)]
    assert list(executor.map(operator.add, range(50), range(100))) == [2 * i for i in range(50)]
    for chunksize in (3, 50, 1000):
        assert list(executor.map(operator.add, range(50), range(100), chunksize=chunksize)) == [
            2 * i for i in range(50)
        ]
    with pytest.raises(ValueError, match="1 is odd"):
        list(executor.map(plain.fail_on_odd, range(6), chunksize=2))
    with pytest.raises(ValueError, match="chunksize must be at least 1, not 0"):
        executor.map(abs, [1], chunksize=0)
    with pytest.raises(TypeError, match="chunksize must be an integer"):
        executor.map(abs, [1], chunksize=1.5)


def test_run_in_executor(executor: Executor) -> None:
    async def results() -> list[int]:
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*(loop.run_in_executor(executor, operator.neg, i) for i in range(10)))

    assert asyncio.run(results()) == [-i for i in range(10)]


def test_dask_takes_it(executor: Executor) -> None:
    dask = pytest.importorskip("dask")
    delayed = [dask.delayed(operator.neg)(i) for i in range(10)]
    assert dask.compute(*delayed, scheduler=executor) == tuple(-i for i in range(10))


@pytest.mark.parametrize("make", [pc.Threads, pc.Processes])
def test_dask_arrays(make: Make) -> None:
    array = pytest.importorskip("dask.array")
    with make(2).as_executor() as executor:
        assert int(array.arange(1000, chunks=100).sum().compute(scheduler=executor)) == 499500


def test_adopted_takes_it(executor: Executor) -> None:
    adopted = pc.Adopted(executor)
    assert adopted.workers == executor._max_workers  # type: ignore[attr-defined]
    assert adopted.map(operator.neg, range(20)) == [-i for i in range(20)]


@pytest.mark.parametrize("make", OURS)
class TestShutdown:
    def test_it_waits(self, make: Make) -> None:
        executor = make(2).as_executor()
        futures = [executor.submit(operator.neg, i) for i in range(20)]
        executor.shutdown()
        assert [future.done() for future in futures] == [True] * 20
        with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
            executor.submit(abs, 1)
        executor.shutdown()

    def test_without_waiting(self, make: Make) -> None:
        execution = make(2)
        gate = cells(execution, 1)
        executor = execution.as_executor()
        futures = [executor.submit(plain.wait_for, gate, 0) for _ in range(6)]
        executor.shutdown(wait=False)
        with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
            executor.submit(abs, 1)
        gate[0] = 1
        assert [future.result(TIME_LIMIT) for future in futures] == [0] * 6
        _wait_for_the_end()
        assert not execution._entered

    def test_cancelling(self, make: Make) -> None:
        execution = make(2)
        gate = cells(execution, 1)
        executor = execution.as_executor()
        futures = [executor.submit(plain.wait_for, gate, 0) for _ in range(20)]
        until(lambda: futures[0].running(), "the first call does not run")
        executor.shutdown(wait=False, cancel_futures=True)
        gate[0] = 1
        done, not_done = wait(futures, TIME_LIMIT)
        assert not not_done
        cancelled = {future for future in done if future.cancelled()}
        assert len(cancelled) >= 20 - execution.concurrency
        assert [future.result() for future in done - cancelled] == [0] * (20 - len(cancelled))
        _wait_for_the_end()

    def test_one_that_nobody_has_any_more(self, make: Make) -> None:
        execution = make(2)
        executor = execution.as_executor()
        futures = [executor.submit(operator.neg, i) for i in range(20)]
        del executor
        gc.collect()
        assert [future.result(TIME_LIMIT) for future in futures] == [-i for i in range(20)]
        _wait_for_the_end()
        assert not execution._entered

    def test_before_the_first_call(self, make: Make) -> None:
        with make(2).as_executor() as executor:
            pass
        with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
            executor.submit(abs, 1)

    def test_inside_a_block_the_workers_stay(self, make: Make) -> None:
        with make(2) as execution:
            pids = execution.pids()
            with execution.as_executor() as executor:
                assert executor.submit(abs, -1).result(TIME_LIMIT) == 1
            assert execution.pids() == pids
            assert execution.map(abs, [-1]) == [1]


def _wait_for_the_end() -> None:
    for thread in threading.enumerate():
        if thread.name == "parcount-shutdown":
            thread.join(TIME_LIMIT)


PROGRAM = """
import atexit, os, sys, time
import parcount as pc

def slow(text):
    time.sleep(0.2)
    os.write(1, b"%d\\n" % text)

def late():
    try:
        executor.submit(id, None)
    except RuntimeError as error:
        print("refused:", error)

if __name__ == "__main__":
    atexit.register(late)
    executor = {execution}.as_executor()
    for number in range(3):
        executor.submit(slow, number)
    {end}
"""


@pytest.mark.parametrize(
    ("execution", "end"),
    [("pc.Threads(2)", "pass"), ("pc.Processes(2)", "pass"), ("pc.Processes(2)", "executor.shutdown(wait=False)")],
)
def test_the_end_of_the_program_waits(run_script: Run, execution: str, end: str) -> None:
    ran = run_script(PROGRAM.format(execution=execution, end=end))
    assert (ran.returncode, ran.stderr) == (0, "")
    lines = ran.stdout.splitlines()
    assert sorted(lines[:3]) == ["0", "1", "2"]
    assert lines[3:] == ["refused: cannot schedule new futures after shutdown"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to kill a process with")
def test_a_worker_that_is_killed_does_not_break_it() -> None:
    with pc.Processes(2).as_executor() as executor:
        died: Future[None] = executor.submit(remote.kill_self, 0)
        assert isinstance(died.exception(TIME_LIMIT), pc.WorkerDied)
        assert executor.submit(abs, -1).result(TIME_LIMIT) == 1
        assert executor.submit(os.getpid).result(TIME_LIMIT) != os.getpid()


def test_its_name() -> None:
    assert repr(pc.Threads(2).as_executor()) == "Threads(2).as_executor()"
