"""What is particular to worker processes: deaths, pickling, and that nothing of them stays."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import parcount as pc
from parcount.execution import messages, shared
from parcount.execution.errors import RemoteTraceback
from tests import remote
from tests.conftest import INSTALLED, Run
from tests.execution.executions import FORK_MARKS, START_METHODS, TRANSPORTED
from tests.remote import TIME_LIMIT

pytestmark = pytest.mark.timeout(60)

MARK = shared.mark_for_worker().rpartition("-")[0]
"""What the names of this process's blocks, and of its workers', begin with."""

Start = Callable[..., tuple["subprocess.Popen[str]", str, list[int]]]

LARGE = messages.COPIED_FROM // 4
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
        assert pool.map(remote.double, range(8)) == list(range(0, 16, 2))
        assert len(pool.pids()) == 2
        assert not set(pool.pids()) & set(before)


class TestErrors:
    def test_the_cause_is_the_workers_traceback(self, pool: pc.Processes) -> None:
        with pytest.raises(ValueError, match="1 is odd") as caught:
            pool.map(remote.fail_on_odd, [1])
        assert isinstance(caught.value.__cause__, RemoteTraceback)
        assert "in fail_on_odd" in str(caught.value.__cause__)

    def test_an_exception_that_does_not_pickle_is_quoted(self, shared_pool: pc.Processes) -> None:
        with pytest.raises(RuntimeError, match="Unpicklable: has a lock") as caught:
            shared_pool.map(remote.fail_unpicklably, [0])
        assert "in fail_unpicklably" in str(caught.value.__cause__)

    def test_an_exception_can_hold_a_large_array(self, shared_pool: pc.Processes) -> None:
        with pytest.raises(ValueError, match=str(LARGE - 1)) as caught:
            shared_pool.map(remote.fail_with_array, [LARGE])
        assert np.array_equal(caught.value.args[0], np.arange(LARGE))

    @pytest.mark.parametrize("call", ["map", "together"])
    def test_a_function_that_does_not_pickle(self, shared_pool: pc.Processes, call: str) -> None:
        lock = threading.Lock()
        with pytest.raises(TypeError, match=r"<locals>\.<lambda> cannot be sent to a worker process"):
            getattr(shared_pool, call)(lambda _: lock, [0, 1])
        assert shared_pool.map(abs, [-1, -2]) == [1, 2]

    @pytest.mark.parametrize("call", ["map", "together"])
    def test_an_item_that_does_not_pickle(self, shared_pool: pc.Processes, call: str) -> None:
        with pytest.raises(TypeError, match=r"item 1, a lock, cannot be sent to a worker process: cannot pickle"):
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
            arrays = shared_pool.map(remote.double, arrays)
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
        assert remote.blocks(MARK) == before

    def test_after_a_call(self, pool: pc.Processes) -> None:
        before = remote.blocks(MARK)
        pool.map(remote.echo, [np.ones(LARGE), pc.shared_array(LARGE), np.ones(3)])
        pool.together(remote.echo, [np.ones(LARGE), pc.shared_array(LARGE)])
        assert remote.blocks(MARK) == before

    def test_after_an_exception(self, pool: pc.Processes) -> None:
        before = remote.blocks(MARK)
        with pytest.raises(ValueError, match="ambiguous"):
            pool.map(remote.fail_on_odd, [np.ones(LARGE), pc.shared_array(LARGE)])  # type: ignore[list-item]
        with pytest.raises(ValueError, match=str(LARGE - 1)):
            pool.map(remote.fail_with_array, [LARGE])
        assert remote.blocks(MARK) == before

    def test_after_items_that_could_not_be_sent(self, pool: pc.Processes) -> None:
        before = remote.blocks(MARK)
        with pytest.raises(TypeError, match="cannot pickle"):
            pool.map(remote.echo, [np.ones(LARGE), (np.ones(LARGE), threading.Lock())])
        assert remote.blocks(MARK) == before

    def test_after_a_worker_was_killed(self, pool: pc.Processes) -> None:
        before = remote.blocks(MARK)
        with pytest.raises(pc.WorkerDied):
            pool.map(remote.kill_self, [np.ones(LARGE), pc.shared_array(LARGE)])
        assert remote.blocks(MARK) == before

    def test_while_the_error_is_still_at_hand(self, pool: pc.Processes) -> None:
        before = remote.blocks(MARK)
        with pytest.raises(pc.WorkerDied) as died:
            pool.map(remote.kill_self, [np.ones(LARGE)])
        with pytest.raises(ValueError, match="ambiguous") as failed:
            pool.map(remote.fail_on_odd, [np.ones(LARGE)])  # type: ignore[list-item]
        assert remote.blocks(MARK) == before
        assert died.tb is not None  # they hold the calls' frames
        assert failed.tb is not None

    def test_after_an_answer_that_nobody_received(self, shared_pool: pc.Processes) -> None:
        # The call ends when it hears of item 0; by then the answer to item 1 lies in shared memory.
        before = remote.blocks(MARK)
        with pytest.raises(pc.WorkerDied, match="item 0"):
            shared_pool.together(remote.AnswerThenDie(MARK), [0, 1])
        assert remote.blocks(MARK) == before

    def test_after_the_last_array(self) -> None:
        before = remote.blocks(MARK)
        a = pc.shared_array(LARGE)
        part = a[5:10].reshape(5, 1)
        del a
        assert len(remote.blocks(MARK) - before) == 1
        del part
        assert remote.blocks(MARK) == before


BUSY = """
import os, sys, threading
import numpy as np
import parcount as pc
from parcount.execution import messages, shared

MARK = shared.mark_for_worker().rpartition("-")[0]

def block(item):
    sys.stdout.write(f"{os.getpid()}\\n")
    sys.stdout.flush()
    threading.Event().wait()

def main(start_method, caught):
    print(MARK, flush=True)
    data = pc.shared_array(1 << 17)
    with pc.Processes(2, start_method=start_method) as pool:
        try:
            pool.map(block, [np.ones(1 << 17), data])
        except KeyboardInterrupt:
            if not caught:
                raise
            print("interrupted, workers", pool.pids())
        print("again", pool.map(abs, [-1, -2]))
    del data
    print("left", [name for name in os.listdir("/dev/shm") if name.startswith(MARK)])

if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] == "caught")
"""

IDLE = """
import sys
import numpy as np
import parcount as pc
from parcount.execution import messages, shared

if __name__ == "__main__":
    print(shared.mark_for_worker().rpartition("-")[0])
    data = pc.shared_array(1 << 17)
    with pc.Processes(2, start_method=sys.argv[1]) as pool:
        pool.map(len, [data, data])
        try:
            print(*pool.pids(), sep="\\n", flush=True)
            sys.stdin.read()
        except KeyboardInterrupt:
            print("interrupted")
        print(pool.pids())
        print(pool.map(abs, [-1, -2]))
"""


@lists_blocks
class TestTheCallerIsStopped:
    """By a signal, in a process of its own."""

    @pytest.fixture(params=multiprocessing.get_all_start_methods())
    def method(self, request: pytest.FixtureRequest) -> str:
        method: str = request.param
        return method

    @pytest.fixture
    def start(self, tmp_path: Path, method: str) -> Iterator[Start]:
        """Start a script; wait for the mark of its blocks and the ids of its two workers."""
        callers = []

        def start(source: str, *arguments: str) -> tuple[subprocess.Popen[str], str, list[int]]:
            file = tmp_path / "script.py"
            file.write_text(source)
            caller = subprocess.Popen(
                [sys.executable, file, method, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            callers.append(caller)
            assert caller.stdout is not None
            mark = caller.stdout.readline().strip()
            return caller, mark, [int(caller.stdout.readline()) for _ in range(2)]

        yield start
        for caller in callers:  # whatever a failed test has left of them
            with suppress(ProcessLookupError):
                os.killpg(caller.pid, signal.SIGTERM)  # which the resource tracker ignores, to clean up after them
            caller.communicate(timeout=TIME_LIMIT)

    def test_ctrl_c_that_is_caught(self, start: Start) -> None:
        caller, _, workers = start(BUSY, "caught")
        os.killpg(caller.pid, signal.SIGINT)  # as a terminal does: to the workers too
        out, err = caller.communicate(timeout=TIME_LIMIT)
        assert out.splitlines() == ["interrupted, workers []", "again [1, 2]", "left []"]
        assert err == ""
        assert caller.returncode == 0
        assert not any(map(remote.is_alive, workers))

    def test_ctrl_c_that_is_not(self, start: Start) -> None:
        caller, mark, workers = start(BUSY, "not caught")
        os.killpg(caller.pid, signal.SIGINT)
        _, err = caller.communicate(timeout=TIME_LIMIT)
        assert err.count("Traceback") == 1  # the caller's: neither the workers nor the resource tracker complain
        assert err.endswith("KeyboardInterrupt\n")
        assert caller.returncode == -signal.SIGINT
        assert not any(map(remote.is_alive, workers))
        assert not remote.blocks(mark)

    def test_ctrl_c_between_two_calls(self, start: Start) -> None:
        # The caller's affair: its workers wait for the next call.
        caller, _, workers = start(IDLE)
        os.killpg(caller.pid, signal.SIGINT)
        out, err = caller.communicate(timeout=TIME_LIMIT)
        assert out.splitlines() == ["interrupted", str(workers), "[1, 2]"]
        assert err == ""
        assert caller.returncode == 0

    def test_killed(self, start: Start) -> None:
        # Nobody is left to tell the workers; they and the resource tracker see their pipes end.
        caller, mark, workers = start(IDLE)
        assert remote.blocks(mark)
        caller.kill()
        caller.communicate(timeout=TIME_LIMIT)
        remote.until(lambda: not any(map(remote.is_alive, workers)), "the workers stayed")
        remote.until(lambda: not remote.blocks(mark), "shared memory stayed")


class TestFork:
    @pytest.mark.skipif("numba-parallel" not in INSTALLED, reason="needs Numba")
    def test_is_refused_after_gnu_openmp_ran(self, run_script: Run) -> None:
        ran = run_script(
            """
import parcount as pc
from parcount.counting import count
from parcount.kernels import WORKLOADS, TallyJob

try:
    count(TallyJob(1000), WORKLOADS["tally"].kernels["numba-parallel"], pc.Threads(1))
except ValueError as error:
    print(error)
else:
    try:
        pc.Processes(1, start_method="fork").map(abs, [-1])
    except RuntimeError as error:
        print(error)
""",
            environment={"NUMBA_THREADING_LAYER": "omp"},
        )
        assert ran.returncode == 0, ran.stderr
        if ran.stdout.startswith("No threading layer could be loaded"):
            pytest.skip("Numba finds no GNU OpenMP here")
        assert "start_method 'fork' is not safe here: this process has run parallel code on GNU OpenMP" in ran.stdout
        assert "use 'forkserver' or 'spawn'" in ran.stdout

    @pytest.mark.timeout(20)
    @pytest.mark.parametrize("pool", [pytest.param({"start_method": "fork"}, marks=FORK_MARKS)], indirect=True)
    def test_workers_forked_later_do_not_delay_the_end(
        self, pool: pc.Processes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # They hold copies of the caller's ends of the earlier workers' pipes, which so do not end when it closes them.
        monkeypatch.setattr("parcount.execution.crew.PATIENCE", 3600)
        later = pc.Processes(1, start_method="fork")
        with later:
            pids = pool.pids()
            pool.__exit__(None, None, None)
            assert not any(map(remote.is_alive, pids))
            pool.__enter__()  # for the fixture to end
            assert later.map(abs, [-1]) == [1]


@pytest.mark.parametrize("method", sorted({"spawn", "forkserver"} & set(multiprocessing.get_all_start_methods())))
def test_a_script_without_a_guard_is_told_what_it_lacks(run_script: Run, method: str) -> None:
    ran = run_script(f"""
import parcount as pc
print(pc.Processes(1, start_method="{method}").map(abs, [-1]))
""")
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1] == (
        "parcount.execution.errors.WorkerDied: a worker ended with exit code 1 before its first item; under spawn and "
        'forkserver a script must start its processes below `if __name__ == "__main__":`'
    )
