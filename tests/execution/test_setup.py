"""What workers do before their first item, and when they are replaced for having done enough."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import parcount as pc
from tests import plain, remote
from tests.execution.executions import INTERPRETERS, OURS, cells

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(params=OURS)
def make(request: pytest.FixtureRequest) -> Callable[..., pc.Execution]:
    made: Callable[..., pc.Execution] = request.param
    return made


class TestInitializer:
    def test_each_worker_runs_it_before_its_first_item(self, make: Callable[..., pc.Execution]) -> None:
        counts = cells(make(1), 4)
        with make(1, initializer=plain.count_up, initargs=(counts,)) as execution:
            assert execution.map(plain.first, [counts] * 3) == [1, 1, 1]
            assert execution.together(abs, [-1])[0] == [1]
            assert list(execution.imap(abs, [-1, -2])) == [1, 2]
        assert counts.tolist() == [1, 1, 1, 1]

    def test_its_arguments_reach_every_worker_that_comes(self) -> None:
        large = np.arange(1 << 18)
        with pc.Processes(1, initializer=remote.keep, initargs=(large,), max_tasks_per_worker=1) as pool:
            assert all(np.array_equal(kept, large) for kept in pool.map(remote.kept, [0, 0, 0]))

    @pytest.mark.parametrize("call", ["map", "together"])
    def test_what_it_raises_reaches_the_caller(self, make: Callable[..., pc.Execution], call: str) -> None:
        execution = make(2, initializer=plain.fail_to_set_up, initargs=("no table",))
        with pytest.raises(LookupError, match="no table") as caught:
            getattr(execution, call)(abs, [-1, -2])
        if execution.name != "threads":
            assert "in fail_to_set_up" in str(caught.value.__cause__)
        assert execution.pids() == []

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has other exit codes")
    def test_one_that_exits_is_not_started_for_ever(self) -> None:
        with pytest.raises(pc.WorkerDied, match="a worker ended with exit code 7 before its first item"):
            pc.Processes(2, initializer=remote.leave, initargs=(7,)).map(abs, [-1])

    @pytest.mark.parametrize("kind", [pc.Threads, pc.Processes, *INTERPRETERS])
    def test_what_cannot_be_called_is_refused(self, kind: Any) -> None:
        with pytest.raises(TypeError, match="initializer must be callable, not 7"):
            kind(1, initializer=7)


class TestPartsPerWorker:
    @pytest.mark.parametrize("name", ["map", "imap", "imap_unordered"])
    def test_no_worker_gets_more(self, name: str) -> None:
        with pc.Processes(2, max_tasks_per_worker=3) as pool:
            pids = list(getattr(pool, name)(remote.pid, range(12)))
            last = pool.pids()
        assert len(pids) == 12
        assert all(pids.count(pid) <= 3 for pid in pids)
        assert not any(map(remote.is_alive, {*pids, *last}))

    def test_together_counts_too(self) -> None:
        with pc.Processes(2, max_tasks_per_worker=1) as pool:
            first, second = (set(pool.together(remote.pid, [0, 1])[0]) for _ in range(2))
        assert len(first | second) == 4

    @pytest.mark.parametrize(("number", "error"), [(0, ValueError), (True, TypeError), (1.5, TypeError)])
    def test_invalid_numbers_raise(self, number: Any, error: type[Exception]) -> None:
        with pytest.raises(error, match="max_tasks_per_worker must be"):
            pc.Processes(1, max_tasks_per_worker=number)
