"""Callers that are interrupted, killed, or lose interest: nothing of theirs stays, and no fork hangs."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import parcount as pc
from parcount.execution.processes.transports import TRANSPORTS
from parcount.shm import blocks
from tests import remote
from tests.conftest import INSTALLED, Run
from tests.execution.executions import FORK_MARKS, METHODS, START_METHODS
from tests.remote import TIME_LIMIT

pytestmark = pytest.mark.timeout(100)

MARK = blocks.name_prefix_for_worker().rpartition("-")[0]

Start = Callable[..., tuple["subprocess.Popen[str]", str, list[int]]]

OFTEN = pytest.mark.parametrize("times", [2, pytest.param(20, marks=pytest.mark.slow)])
"""A leak or a race may show only now and then: the slow tests repeat more often."""

LARGE = 1 << 18
"""Elements of an array that crosses by shared memory where that is the transport."""

lists_blocks = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists the shared memory there is")


@pytest.fixture
def own_tmp() -> Iterator[dict[str, str]]:
    """The environment of callers that are killed: what multiprocessing leaves of theirs is in a folder that is removed.

    `tmp_path` is too long for the path of a socket.
    """
    with tempfile.TemporaryDirectory() as folder:
        yield {**os.environ, "TMPDIR": folder}


BUSY = """
import os, sys, threading
import numpy as np
import parcount as pc
from parcount.shm import blocks

MARK = blocks.name_prefix_for_worker().rpartition("-")[0]

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
from parcount.shm import blocks

if __name__ == "__main__":
    print(blocks.name_prefix_for_worker().rpartition("-")[0])
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

    @pytest.fixture(params=START_METHODS)
    def method(self, request: pytest.FixtureRequest) -> str:
        method: str = request.param
        return method

    @pytest.fixture
    def start(self, tmp_path: Path, method: str, own_tmp: dict[str, str]) -> Iterator[Start]:
        """Start a script; wait for the mark of its blocks and the ids of its two workers."""
        callers = []

        def start(source: str, *arguments: str) -> tuple[subprocess.Popen[str], str, list[int]]:
            file = tmp_path / "script.py"
            file.write_text(source)
            caller = subprocess.Popen(
                [sys.executable, file, method, *arguments],
                env=own_tmp,
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

    def test_killed_while_they_are_idle(self, start: Start) -> None:
        # Nobody is left to tell the workers; they and the resource tracker see their pipes end.
        caller, mark, workers = start(IDLE)
        assert remote.blocks(mark)
        caller.kill()
        caller.communicate(timeout=TIME_LIMIT)
        remote.until(lambda: not any(map(remote.is_alive, workers)), "the workers stayed")
        remote.until(lambda: not remote.blocks(mark), "shared memory stayed")

    @pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM])
    def test_killed_while_they_hold_the_gil(self, start: Start, kill: signal.Signals) -> None:
        caller, mark, workers = start(BUSY.replace("threading.Event().wait()", "sum(range(1 << 60))"), "not caught")
        caller.send_signal(kill)
        caller.communicate(timeout=TIME_LIMIT)
        remote.until(lambda: not any(map(remote.is_alive, workers)), "the workers stayed", limit=2)
        remote.until(lambda: not remote.blocks(mark), "shared memory stayed")


INTERRUPTED = """
import os, sys, threading
from multiprocessing import current_process
import numpy as np
import parcount as pc
from parcount.shm import blocks

def block(item):
    sys.stdout.write(f"{os.getpid()}\\n")
    sys.stdout.flush()
    threading.Event().wait()

if __name__ == "__main__":
    mark = blocks.name_prefix_for_worker().rpartition("-")[0]
    current_process()._config["semprefix"] = f"/{mark}"
    print(mark, flush=True)
    for _ in range(int(sys.argv[2])):
        data = pc.shared_array(1 << 18)
        with pc.Processes(2, transport=sys.argv[1]) as pool:
            try:
                pool.map(block, [np.ones(1 << 18), data])
            except KeyboardInterrupt:
                assert pool.pids() == []
        del data
    print("done")
"""


@lists_blocks
@pytest.mark.parametrize("transport", ["queue", "shared_memory"])
@OFTEN
class TestNothingIsLeft:
    """Several times each: no process, no segment, no semaphore. Of all transports these leave most to clean up."""

    @pytest.fixture(autouse=True)
    def as_before(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        config = multiprocessing.current_process()._config  # type: ignore[attr-defined]
        monkeypatch.setitem(config, "semprefix", f"/{MARK}")
        gc.collect()
        blocks, threads = remote.blocks(MARK), set(threading.enumerate())
        yield
        gc.collect()
        assert remote.blocks(MARK) <= blocks
        remote.until(lambda: not remote.semaphores(MARK), "semaphores stayed")
        assert not set(threading.enumerate()) - threads

    def test_after_an_exception_in_the_callers_loop(self, transport: str, times: int) -> None:
        for _ in range(times):
            with pytest.raises(LookupError), pc.Processes(2, transport=transport) as pool:  # noqa: PT012
                pids = pool.pids()
                for result in pool.imap(remote.ones, iter([LARGE] * 10)):
                    raise LookupError(f"not what I wanted: {result.sum()}")
            assert not any(map(remote.is_alive, pids))

    def test_after_an_exception_in_the_progress(self, transport: str, times: int) -> None:
        def refuse(done: int, total: int) -> None:
            raise LookupError(f"{done} of {total} are enough")

        for _ in range(times):
            with pytest.raises(LookupError, match="1 of 4"), pc.Processes(2, transport=transport) as pool:  # noqa: PT012
                pids = pool.pids()
                pool.map(remote.echo, [np.ones(LARGE)] * 4, progress=refuse)
            assert not any(map(remote.is_alive, pids))

    @pytest.mark.parametrize("inside", [True, False])
    def test_after_a_generator_that_was_abandoned(self, transport: str, times: int, inside: bool) -> None:
        pool = pc.Processes(2, transport=transport)
        for _ in range(times):
            if inside:
                with pool:
                    results = pool.imap_unordered(remote.pid_and_item, [np.ones(LARGE)] * 10)
                    pid, _ = next(results)
                    del results
            else:
                results = pool.imap(remote.pid_and_item, [np.ones(LARGE)] * 10)
                pid, _ = next(results)
                del results
            assert not remote.is_alive(pid)

    def test_after_ctrl_c(self, transport: str, times: int, tmp_path: Path, own_tmp: dict[str, str]) -> None:
        script = tmp_path / "script.py"
        script.write_text(INTERRUPTED)
        caller = subprocess.Popen(
            [sys.executable, script, transport, str(times)],
            env=own_tmp,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert caller.stdout is not None
        mark = caller.stdout.readline().strip()
        workers: set[int] = set()
        for _ in range(times):
            workers |= {int(caller.stdout.readline()) for _ in range(2)}
            os.killpg(caller.pid, signal.SIGINT)
        out, err = caller.communicate(timeout=TIME_LIMIT)
        assert (out, err) == ("done\n", "")
        assert len(workers) == 2 * times
        assert not [*Path(own_tmp["TMPDIR"]).iterdir()]
        remote.until(lambda: not remote.processes_of(caller.pid), "processes stayed")
        assert not remote.blocks(mark) | remote.semaphores(mark)

    def test_after_sigterm(self, transport: str, times: int, tmp_path: Path, own_tmp: dict[str, str]) -> None:
        script = tmp_path / "script.py"
        script.write_text(INTERRUPTED)
        for _ in range(times // 2):  # with the other transport that makes twenty
            callers = [
                subprocess.Popen(
                    [sys.executable, script, transport, "1"],
                    env=own_tmp,
                    stdout=subprocess.PIPE,
                    text=True,
                    start_new_session=True,
                )
                for _ in range(2)
            ]
            marks = []
            for caller in callers:
                assert caller.stdout is not None
                mark, *workers = (caller.stdout.readline().strip() for _ in range(3))
                assert all(map(remote.is_alive, map(int, workers)))
                marks.append(mark)
                caller.terminate()
            for caller, mark in zip(callers, marks, strict=True):
                caller.communicate(timeout=TIME_LIMIT)
                assert caller.returncode == -signal.SIGTERM
                remote.until(lambda pid=caller.pid: not remote.processes_of(pid), "processes stayed")
                assert not remote.blocks(mark) | remote.semaphores(mark)


class TestFork:
    @pytest.mark.skipif("numba-parallel" not in INSTALLED, reason="needs Numba")
    def test_is_refused_after_gnu_openmp_ran(self, run_script: Run) -> None:
        ran = run_script(
            """
import parcount as pc
from parcount.engine.run import run
from parcount.kernels import WORKLOADS, TallyJob

try:
    run(TallyJob(1000), WORKLOADS["tally"].kernels["numba-parallel"], pc.Threads(1))
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
    @pytest.mark.parametrize("method", [pytest.param("fork", marks=FORK_MARKS)])
    def test_workers_forked_later_do_not_delay_the_end(self, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
        # They hold copies of the caller's ends of the earlier workers' pipes, which so do not end when it closes them.
        monkeypatch.setattr("parcount.execution.processes.supervisor.SHUTDOWN_SECONDS", 3600)
        with pc.Processes(2, start_method=method) as first:
            with pc.Processes(1, start_method=method) as later:
                pids = first.pids()
                first._detach()()
                assert not any(map(remote.is_alive, pids))
                assert later.map(abs, [-1]) == [1]
            first._open()

    @pytest.mark.parametrize("first", [True, False])
    def test_is_refused_while_other_threads_run(self, run_script: Run, first: bool) -> None:
        ran = run_script(f"""
import threading
import numpy as np
import parcount as pc

counts = pc.bincount(np.zeros(10_000_000, np.int64), threads=2)  # whose threads stand ready, and do no harm
go = threading.Event()
other = threading.Thread(target=go.wait, name="the other", args=(60,))
if {first}:
    other.start()
try:
    with pc.Processes(1, start_method="fork") as pool:
        print(pool.map(abs, [-1]))
        other.start()
        print(pool.map(abs, [-2]))  # nothing is forked now
        pool.map(exit, [3])
except (RuntimeError, pc.WorkerDied) as error:
    print(error)
go.set()
""")
        assert ran.stderr == ""
        refusal = (
            "start_method 'fork' is not safe here: this process runs other threads (the other), and a child could "
            "wait for their locks for ever; use 'forkserver' or 'spawn'"
        )
        assert ran.stdout.splitlines() == ([refusal] if first else ["[1]", "[2]", refusal])

    @pytest.mark.forks
    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
    def test_a_fork_of_the_caller_has_no_workers(self) -> None:
        with pc.Processes(1) as pool:
            assert pool.map(abs, [-1]) == [1]
            child = os.fork()
            if not child:
                try:
                    pool.map(abs, [-1])
                except RuntimeError as error:
                    os._exit(7 if "this process is a fork" in str(error) else 8)
                os._exit(9)
            _, status = os.waitpid(child, 0)
            assert os.waitstatus_to_exitcode(status) == 7
            assert pool.map(abs, [-2]) == [2]


def pairs() -> Iterator[Any]:
    """Each start method with each transport; with one of them unless the slow tests run."""
    methods = list(METHODS)
    for number, transport in enumerate(TRANSPORTS):
        for method in methods:
            usual = method == methods[number % len(methods)]
            yield pytest.param(method, transport, marks=[] if usual else pytest.mark.slow)


class TestMoreThanTheSystemStarts:
    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
    @pytest.mark.parametrize(("method", "transport"), list(pairs()))
    def test_is_refused_with_its_reason(self, run_script: Run, method: str, transport: str) -> None:
        ran = run_script(f"""
import resource
import parcount as pc

if __name__ == "__main__":
    pc.Processes(1, start_method={method!r}).map(abs, [-1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
    try:
        pc.Processes(100, start_method={method!r}, transport={transport!r}).map(abs, [-1])
    except OSError as error:
        print(error)
    print(pc.Processes(1, start_method={method!r}, transport={transport!r}).map(abs, [-2]))
""")
        refusal, then = ran.stdout.splitlines()
        assert ran.stderr == "" or method == "forkserver"  # the standard library's complains itself
        assert "of 100 worker processes, and then: [Errno 24] Too many open files" in refusal
        assert then == "[2]"

    def test_a_call_continues_with_the_workers_that_started(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pc.Processes(2) as pool:
            assert pool.map(abs, [-1]) == [1]

            def no_more(_: object) -> None:
                raise OSError("no more processes")

            with monkeypatch.context() as patch:
                patch.setattr("parcount.execution.processes.supervisor.WorkerPool._start", no_more)
                assert pool.map(remote.DieAtFirst(pc.shared_array(8), 3, 1), range(8)) == list(range(8))
                assert len(pool.pids()) == 1
            assert pool.map(abs, [-1]) == [1]
            assert len(pool.pids()) == 2


def test_use_after_the_end_is_refused() -> None:
    pool = pc.Processes(1)
    with pool:
        results = pool.imap(abs, [-1, -2, -3])
        assert next(results) == 1
    with pytest.raises(RuntimeError, match="has ended"):
        next(results)
    with pytest.raises(RuntimeError, match="has been closed already"):
        pool.__exit__(None, None, None)
    assert pool.map(abs, [-1]) == [1]  # for itself


@pytest.mark.skipif("forkserver" not in multiprocessing.get_all_start_methods(), reason="there is no fork server here")
def test_a_fork_server_that_is_killed_is_replaced(run_script: Run) -> None:
    """By whoever kills what takes memory. Its workers are lost to the caller, and their items tried again."""
    ran = run_script("""
import os, signal
from multiprocessing import forkserver
import numpy as np
import parcount as pc

def kill_the_server(tried):
    tried[0] += 1
    if tried[0] == 1:
        os.kill(os.getppid(), signal.SIGKILL)
    return os.getppid()

if __name__ == "__main__":
    tried, keys = pc.shared_array(1), np.arange(1000)
    with pc.Processes(2, start_method="forkserver") as pool:
        first, = pool.map(abs, [-1])
        pool.map(kill_the_server, [tried])
        print(tried[0] in (1, 2), np.array_equal(pc.bincount(keys, on=pool), np.bincount(keys)), len(pool.pids()))
    for _ in range(3):
        os.kill(forkserver._forkserver._forkserver_pid, signal.SIGKILL)
        assert pc.Processes(1, start_method="forkserver").map(abs, [-1]) == [1]
""")
    assert (ran.stdout, ran.stderr) == ("True True 2\n", "")


@pytest.mark.skipif("forkserver" not in multiprocessing.get_all_start_methods(), reason="there is no fork server here")
def test_a_fork_server_that_is_killed_at_its_start_is_replaced(run_script: Run) -> None:
    ran = run_script("""
import os, signal
from multiprocessing.forkserver import _forkserver
import parcount as pc

ensure_running, killed = _forkserver.ensure_running, []

def ensure_running_and_kill():
    ensure_running()
    if not killed:
        killed.append(_forkserver._forkserver_pid)
        os.kill(killed[0], signal.SIGKILL)

if __name__ == "__main__":
    _forkserver.ensure_running = ensure_running_and_kill
    print(pc.Processes(2, start_method="forkserver").map(abs, [-1, -2]), len(killed))
""")
    assert (ran.stdout, ran.stderr) == ("[1, 2] 1\n", "")
