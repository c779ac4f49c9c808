"""What is particular to worker processes: deaths, pickling, and that nothing of them stays."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import parcount as pc
from parcount.execution.errors import RemoteTraceback
from parcount.execution.processes import serialisation
from parcount.shm import blocks
from tests import plain, remote
from tests.conftest import Run
from tests.execution.executions import START_METHODS, TRANSPORTED

pytestmark = pytest.mark.timeout(60)

MARK = blocks.name_prefix_for_worker().rpartition("-")[0]
"""What the names of this process's blocks, and of its workers', begin with."""

LARGE = serialisation.SHARED_COPY_MIN_BYTES // 4
"""Elements of an array of int64 that crosses by shared memory."""

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to kill a process with")
lists_blocks = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists the shared memory there is")


@pytest.fixture(scope="module", params=TRANSPORTED)
def pool(request: pytest.FixtureRequest) -> Iterator[pc.Processes]:
    """Two workers that get no second try; those that a test kills are replaced for the next."""
    with pc.Processes(2, **request.param, retries=0) as pool:
        yield pool


@pytest.fixture(scope="module")
def shared_pool() -> Iterator[pc.Processes]:
    """Two workers that get no second try, for what does not depend on how they were started."""
    with pc.Processes(2, retries=0, transport="shared_memory") as pool:
        yield pool


class TestDeaths:
    @posix
    def test_killed(self, pool: pc.Processes) -> None:
        with pytest.raises(pc.WorkerDied, match="item 3 was killed by SIGKILL") as caught:
            pool.map(remote.DieOn(3), range(6))
        assert (caught.value.part, caught.value.exitcode) == (3, -signal.SIGKILL)

    @pytest.mark.parametrize("end", [remote.exit_at_once, remote.leave])
    def test_ended_by_itself(self, pool: pc.Processes, end: object) -> None:
        with pytest.raises(pc.WorkerDied, match="item 0 ended with exit code 7") as caught:
            pool.map(end, [7])  # type: ignore[arg-type]
        assert (caught.value.part, caught.value.exitcode) == (0, 7)

    def test_ended_with_words(self, shared_pool: pc.Processes) -> None:
        with pytest.raises(pc.WorkerDied) as caught:
            shared_pool.map(remote.leave, ["good bye"])
        assert caught.value.exitcode == 1

    @posix
    def test_killed_at_the_start_line(self, pool: pc.Processes) -> None:
        with pytest.raises(pc.WorkerDied, match="item 1 was killed by SIGKILL"):
            pool.together(remote.DieOn(1), range(2))

    @posix
    def test_killed_while_idle(self, pool: pc.Processes) -> None:
        pool.map(abs, [-1])  # there may be no workers, after another test has killed them
        victim = pool.pids()[0]
        os.kill(victim, signal.SIGKILL)
        remote.until(lambda: not remote.is_alive(victim), "the signal did not arrive")
        assert pool.together(abs, [-1, -2])[0] == [1, 2]  # nothing was lost with it
        assert victim not in pool.pids()
        assert len(pool.pids()) == 2

    @posix
    def test_the_next_call_gets_new_workers(self, pool: pc.Processes) -> None:
        pool.map(abs, [-1])
        before = pool.pids()
        with pytest.raises(pc.WorkerDied):
            pool.map(remote.kill_self, [0])
        assert not any(map(remote.is_alive, before))
        assert pool.map(plain.double, range(8)) == list(range(0, 16, 2))
        assert len(pool.pids()) == 2
        assert not set(pool.pids()) & set(before)


class TestErrors:
    def test_the_cause_is_the_workers_traceback(self, pool: pc.Processes) -> None:
        with pytest.raises(ValueError, match="1 is odd") as caught:
            pool.map(plain.fail_on_odd, [1])
        assert isinstance(caught.value.__cause__, RemoteTraceback)
        assert "in fail_on_odd" in str(caught.value.__cause__)

    def test_an_exception_that_cannot_be_pickled_keeps_its_type(self, shared_pool: pc.Processes) -> None:
        with pytest.raises(remote.Unpicklable, match="has a lock") as caught:
            shared_pool.map(remote.fail_unpicklably, [0])
        assert not hasattr(caught.value, "lock")
        assert "in fail_unpicklably" in str(caught.value.__cause__)

    def test_an_exception_can_hold_a_large_array(self, shared_pool: pc.Processes) -> None:
        with pytest.raises(ValueError, match=str(LARGE - 1)) as caught:
            shared_pool.map(remote.fail_with_array, [LARGE])
        assert np.array_equal(caught.value.args[0], np.arange(LARGE))

    @pytest.mark.parametrize("call", ["map", "together"])
    def test_a_function_that_does_not_pickle(self, shared_pool: pc.Processes, call: str) -> None:
        lock = threading.Lock()
        with pytest.raises(TypeError, match=r"<locals>\.<lambda>'s variable lock, a _thread.lock, cannot be sent"):
            getattr(shared_pool, call)(lambda _: lock, [0, 1])
        assert shared_pool.map(abs, [-1, -2]) == [1, 2]

    @pytest.mark.parametrize("call", ["map", "together"])
    def test_an_item_that_does_not_pickle(self, shared_pool: pc.Processes, call: str) -> None:
        with pytest.raises(TypeError, match=r"item 1, a _thread.lock, cannot be sent to a worker: cannot pickle"):
            getattr(shared_pool, call)(remote.echo, [0, threading.Lock()])
        assert shared_pool.map(abs, [-1, -2]) == [1, 2]

    @pytest.mark.parametrize("call", ["map", "together"])
    def test_an_item_that_does_not_unpickle(self, shared_pool: pc.Processes, call: str) -> None:
        with pytest.raises(LookupError, match="cannot be unpickled"):
            getattr(shared_pool, call)(remote.echo, [remote.RefusesToArrive(), 1])
        assert shared_pool.map(abs, [-1, -2]) == [1, 2]

    def test_a_result_that_does_not_pickle(self, shared_pool: pc.Processes) -> None:
        with pytest.raises(TypeError, match="cannot pickle"):
            shared_pool.map(remote.unpicklable_result, [0])
        assert shared_pool.map(abs, [-1, -2]) == [1, 2]

    def test_an_unknown_start_method(self) -> None:
        with pytest.raises(ValueError, match=r"start_method must be one of .*spawn.*, not 'teleport'"):
            pc.Processes(2, start_method="teleport")


class TestTogether:
    def test_none_begins_before_all_have_their_item(self, pool: pc.Processes) -> None:
        arrived, begun = pc.shared_array(2), pc.shared_array(2)
        items = [remote.Slow(number, arrived, begun) for number in range(2)]
        assert pool.together(remote.all_arrived, items)[0] == [True, True]


class TestArrays:
    """The layouts that cross are in `test_shared`."""

    def test_a_shared_array_is_seen_in_place(self, pool: pc.Processes) -> None:
        a = pc.shared_array((2, LARGE))
        pool.map(remote.count_up, [a[0], a[1, ::2]])
        pool.map(remote.count_up, [a[0], a[1, ::2]])
        assert (a[0] == 2).all()
        assert (a[1, ::2] == 2).all()
        assert (a[1, 1::2] == 0).all()

    def test_a_workers_slice_of_it_comes_back_as_a_slice_of_it(self, pool: pc.Processes) -> None:
        a = pc.shared_array(2 * LARGE)
        (half,) = pool.map(remote.first_half, [a])
        assert half.shape == (LARGE,)
        assert half.ctypes.data == a.ctypes.data
        half[:] = 5
        assert (a[:LARGE] == 5).all()

    def test_an_ordinary_array_is_copied(self, pool: pc.Processes) -> None:
        a = np.zeros(LARGE, np.int64)
        pool.map(remote.count_up, [a])
        assert not a.any()

    def test_a_workers_own_shared_array_comes_back(self, pool: pc.Processes) -> None:
        (made,) = pool.map(remote.own_shared_array, [LARGE])
        assert np.array_equal(made, np.arange(LARGE))

    def test_results_outlive_the_next_calls(self, shared_pool: pc.Processes) -> None:
        results = [shared_pool.map(remote.echo, [np.full(LARGE, call), np.full(LARGE, -call)]) for call in range(10)]
        for call, (plus, minus) in enumerate(results):
            assert (plus == call).all()
            assert (minus == -call).all()

    @pytest.mark.parametrize("make", [np.zeros, pc.shared_array])
    def test_what_a_worker_keeps_outlives_the_caller(self, make: Callable[[int], np.ndarray]) -> None:
        with pc.Processes(1) as pool:
            for call in range(3):
                item = make(LARGE)
                item[:] = call
                pool.map(remote.keep, [item])
            del item
            kept = pool.map(remote.kept, range(3))
        assert [set(array) for array in kept] == [{0}, {1}, {2}]

    def test_results_can_be_the_next_items(self, shared_pool: pc.Processes) -> None:
        arrays = [np.arange(LARGE), np.arange(LARGE)]
        for _ in range(3):
            arrays = shared_pool.map(plain.double, arrays)
        assert all(np.array_equal(array, 8 * np.arange(LARGE)) for array in arrays)


@lists_blocks
@pytest.mark.usefixtures("no_collector")
class TestNothingIsLeft:
    """Neither shared memory nor processes; what the calls themselves do is tested above."""

    @pytest.mark.parametrize("method", START_METHODS)
    def test_after_the_with(self, method: str) -> None:
        before = remote.blocks(MARK)
        with pc.Processes(2, start_method=method) as pool:
            pids = pool.pids()
            assert all(map(remote.is_alive, pids))
            pool.map(remote.keep, [np.ones(LARGE), remote.own_shared_array(LARGE)])
        assert not any(map(remote.is_alive, pids))
        assert not {child.pid for child in multiprocessing.active_children()} & set(pids)
        assert remote.blocks(MARK) <= before

    def test_after_a_call(self, pool: pc.Processes) -> None:
        before = remote.blocks(MARK)
        pool.map(remote.echo, [np.ones(LARGE), pc.shared_array(LARGE), np.ones(3)])
        pool.together(remote.echo, [np.ones(LARGE), pc.shared_array(LARGE)])
        assert remote.blocks(MARK) <= before

    def test_after_an_exception(self, pool: pc.Processes) -> None:
        before = remote.blocks(MARK)
        with pytest.raises(ValueError, match="ambiguous"):
            pool.map(plain.fail_on_odd, [np.ones(LARGE), pc.shared_array(LARGE)])  # type: ignore[list-item]
        with pytest.raises(ValueError, match=str(LARGE - 1)):
            pool.map(remote.fail_with_array, [LARGE])
        assert remote.blocks(MARK) <= before

    def test_after_items_that_could_not_be_sent(self, pool: pc.Processes) -> None:
        before = remote.blocks(MARK)
        with pytest.raises(TypeError, match="cannot pickle"):
            pool.map(remote.echo, [np.ones(LARGE), (np.ones(LARGE), threading.Lock())])
        assert remote.blocks(MARK) <= before

    def test_after_a_worker_was_killed(self, pool: pc.Processes) -> None:
        before = remote.blocks(MARK)
        with pytest.raises(pc.WorkerDied):
            pool.map(remote.kill_self, [np.ones(LARGE), pc.shared_array(LARGE)])
        assert remote.blocks(MARK) <= before

    def test_while_the_error_is_still_at_hand(self, pool: pc.Processes) -> None:
        before = remote.blocks(MARK)
        with pytest.raises(pc.WorkerDied) as died:
            pool.map(remote.kill_self, [np.ones(LARGE)])
        with pytest.raises(ValueError, match="ambiguous") as failed:
            pool.map(plain.fail_on_odd, [np.ones(LARGE)])  # type: ignore[list-item]
        assert remote.blocks(MARK) <= before
        assert died.tb is not None  # they hold the calls' frames
        assert failed.tb is not None

    def test_after_an_answer_that_nobody_received(self, shared_pool: pc.Processes, tmp_path: Path) -> None:
        # The call ends when it hears of item 0; by then the answer to item 1 lies in shared memory.
        before = remote.blocks(MARK)
        with pytest.raises(pc.WorkerDied, match="item 0"):
            shared_pool.together(remote.AnswerThenDie(MARK, tmp_path / "locked"), [0, 1])
        assert remote.blocks(MARK) <= before

    def test_after_the_last_array(self) -> None:
        before = remote.blocks(MARK)
        a = pc.shared_array(LARGE)
        part = a[5:10].reshape(5, 1)
        del a
        assert len(remote.blocks(MARK) - before) == 1
        del part
        assert remote.blocks(MARK) <= before


@pytest.mark.parametrize("method", sorted({"spawn", "forkserver"} & set(multiprocessing.get_all_start_methods())))
def test_a_script_without_a_main_guard_raises_with_a_hint(run_script: Run, method: str) -> None:
    ran = run_script(f"""
import parcount as pc
print(pc.Processes(1, start_method="{method}").map(abs, [-1]))
""")
    assert ran.returncode == 1
    how = "ended with exit code 1 before its first item, at the last of 2 tries"
    if method == "forkserver" and sys.version_info >= (3, 14):
        how = "could not be started: the fork server has ended"
    assert ran.stderr.splitlines()[-1] == (
        f"parcount.execution.errors.WorkerDied: a worker {how}; under spawn and forkserver a script must start its "
        'processes below `if __name__ == "__main__":`'
    )


@lists_blocks
@pytest.mark.parametrize("call", ["pool.submit(np.zeros, 1 << 27).result()", "pool.map(np.zeros, [1 << 27])"])
def test_a_result_that_does_not_fit_into_memory(run_script: Run, call: str) -> None:
    # The limit holds for the caller only, which sets it after its workers have been started.
    ran = run_script(f"""
import resource
import numpy as np
import parcount as pc
if __name__ == "__main__":
    with pc.Processes(2) as pool:
        assert pool.submit(abs, -1).result() == 1
        size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + (1 << 29), resource.RLIM_INFINITY))
        try:
            {call}
        except MemoryError as error:
            print(error)
        assert pool.map(abs, range(-5, 0)) == [5, 4, 3, 2, 1]
        assert pool.submit(np.ones, 3).result().tolist() == [1, 1, 1]
""")
    assert ran.stdout == "the result does not fit into the memory of the caller\n", ran.stderr
    assert (ran.returncode, ran.stderr) == (0, "")
