"""Processes that run threads, and the pools of threads inside them."""

import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import parcount as pc
from parcount.system import thread_limits
from parcount.system.cores import MAX_CORES
from tests import remote
from tests.execution.executions import TRANSPORTED

pytestmark = pytest.mark.timeout(60)

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to kill a process with")


@pytest.fixture(scope="module", params=TRANSPORTED)
def pool(request: pytest.FixtureRequest) -> Iterator[pc.Processes]:
    with pc.Processes(2, threads=2, **request.param) as pool:
        yield pool


class TestThreads:
    def test_as_many_items_run_at_once_as_all_have_threads(self, pool: pc.Processes) -> None:
        assert pool.concurrency == 4
        places = pool.map(remote.MeetAndTellWhere(pc.shared_array(4)), range(4))
        assert len(set(places)) == 4
        assert sorted(Counter(process for process, _ in places).values()) == [2, 2]

    def test_all_start_together(self, pool: pc.Processes) -> None:
        arrived, begun = pc.shared_array(4), pc.shared_array(4)
        items = [remote.Slow(number, arrived, begun) for number in range(4)]
        assert pool.together(remote.all_arrived, items)[0] == [True] * 4

    def test_counts_are_exact(self, pool: pc.Processes) -> None:
        keys = np.random.default_rng(1).integers(0, 500, 100_003)
        assert np.array_equal(pc.bincount(keys, on=pool), np.bincount(keys))

    def test_an_exception_leaves_the_neighbour_alone(self, pool: pc.Processes) -> None:
        done = pc.shared_array(4)
        with pytest.raises(LookupError, match="item 2"):
            pool.map(remote.FailOnceTheOthersHaveBegun(done, 2), range(4))
        assert done.tolist() == [1, 1, 0, 1]

    def test_each_keeps_the_arrays_of_its_own_item(self, pool: pc.Processes) -> None:
        a = pc.shared_array((8, 1000))
        for _ in range(5):
            pool.map(remote.count_up, list(a))
        assert (a == 5).all()

    @posix
    def test_a_death_costs_all_items_there_a_try(self) -> None:
        tried = pc.shared_array(4)
        with pc.Processes(2, threads=2) as pool:
            assert pool.map(remote.DieOnceAllHaveBegun(tried), range(4)) == list(range(4))
        assert tried[0] == 2
        assert sorted(tried) == [1, 1, 2, 2]

    def test_only_the_one_that_is_late_has_spent_a_try(self) -> None:
        tried = pc.shared_array(2)
        with pc.Processes(1, threads=2, timeout=1, retries=1) as pool:
            assert pool.map(remote.DieAtFirst(tried, 1, 1, remote.hang), range(2)) == [0, 1]
        assert tried[1] == 2

    def test_no_process_runs_more_than_max_tasks_per_worker(self) -> None:
        with pc.Processes(2, threads=2, max_tasks_per_worker=3) as pool:
            pids = pool.map(remote.pid, range(12))
        assert max(Counter(pids).values()) <= 3

    def test_the_initializer_runs_once_a_process(self) -> None:
        count = pc.shared_array(1)
        with pc.Processes(1, threads=3, initializer=remote.count_up, initargs=(count,)) as pool:
            pool.map(remote.MeetAndTellWhere(pc.shared_array(3)), range(3))
        assert count[0] == 1

    @pytest.mark.parametrize(
        ("threads", "error"), [(0, ValueError), (-1, ValueError), (True, TypeError), ("2", TypeError)]
    )
    def test_invalid_numbers_raise(self, threads: Any, error: type[Exception]) -> None:
        with pytest.raises(error, match="threads must be"):
            pc.Processes(2, threads=threads)

    def test_on_and_threads_together_are_refused(self) -> None:
        with pytest.raises(ValueError, match="give one of the two"):
            pc.bincount([1, 2], threads=2, on=pc.Processes(2, threads=2))


class TestInnerPools:
    @pytest.fixture(autouse=True)
    def nothing_is_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for variable in thread_limits.VARIABLES:
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(MAX_CORES, raising=False)

    @pytest.mark.parametrize(("cores", "workers", "threads"), [(8, 2, 4), (8, 3, 2), (2, 4, 1), (1, 1, 1)])
    def test_the_cores_are_shared_out(self, cores: int, workers: int, threads: int) -> None:
        assert thread_limits.threads_per_worker(cores, workers) == threads

    def test_libraries_that_come_later_read_it(self) -> None:
        environment = {"OMP_NUM_THREADS": "7"}
        thread_limits.limit_threads(3, environment)
        limited = {**dict.fromkeys(thread_limits.VARIABLES, "3"), MAX_CORES: "3"}
        assert environment == {**limited, "OMP_NUM_THREADS": "7"}

    def test_a_workers_limits_do_not_hold_in_its_own_workers(self) -> None:
        environment = {"OMP_NUM_THREADS": "7"}
        thread_limits.limit_threads(3, environment)
        thread_limits.limit_threads(1, environment)
        limited = {**dict.fromkeys(thread_limits.VARIABLES, "1"), MAX_CORES: "1"}
        assert environment == {**limited, "OMP_NUM_THREADS": "7"}

    def test_libraries_that_are_there_are_told(self) -> None:
        pytest.importorskip("threadpoolctl")
        before = remote.inner_threads(0)
        if not before:
            pytest.skip("NumPy has no BLAS here that threadpoolctl knows")
        with pc.Processes(2, threads=os.cpu_count() or 1, start_method="spawn") as pool:
            there = pool.map(remote.inner_threads, [0])[0]
            assert set(there) == {1}
            assert remote.inner_threads(0) == before  # the caller's are as they were
        assert remote.inner_threads(0) == before

    def test_the_caller_keeps_its_environment(self) -> None:
        before = dict(os.environ)
        with pc.Processes(1) as pool:
            assert pool.map(remote.variable, ["OMP_NUM_THREADS"]) != [None]
        assert dict(os.environ) == before


def test_no_thread_is_left() -> None:
    before = set(threading.enumerate())
    pc.Processes(2, threads=2).map(abs, [-1, -2])
    pc.Processes(2, transport="queue").map(abs, [-1, -2])
    assert not set(threading.enumerate()) - before
