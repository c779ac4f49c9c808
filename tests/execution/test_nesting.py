"""Workers of forked children, daemonic processes and workers: nothing of theirs stays, and they share the cores."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from multiprocessing.resource_tracker import ResourceTracker
from pathlib import Path

import pytest

import parcount as pc
from parcount.engine.threads import choose_execution
from parcount.system import cores, thread_limits
from parcount.system.cores import MAX_CORES
from tests import plain, remote
from tests.execution.executions import FORK_MARKS, INTERPRETERS
from tests.remote import TIME_LIMIT

SLOW = pytest.mark.slow

pytestmark = pytest.mark.timeout(100)

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists the shared memory there is")

START = """
import os, signal, sys, threading
from multiprocessing import current_process, get_context
import numpy as np
import parcount as pc
from parcount.shm import blocks

def tell(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def mark():
    mark = blocks.name_prefix_for_worker().rpartition("-")[0]
    current_process()._config["semprefix"] = f"/{mark}"
    tell(mark)

def work(what="child"):
    with pc.Processes(2, transport="queue") as pool:
        tell(what, *pool.map(len, [np.ones(1 << 17), pc.shared_array(1 << 18)]))

def block(item):
    tell("worker", os.getpid())
    threading.Event().wait()

def nest(depth):
    if not depth:
        block(depth)
    tell("worker", os.getpid())
    array = pc.shared_array(1 << 17)
    with pc.Processes(1, transport="queue", retries=0) as pool:
        pool.map(nest, [depth - 1])
"""
"""What the scripts share: a mark of their shared memory and semaphores, and functions that run processes."""


class Script:
    """A script that runs in a session of its own, whose folder for temporary files is its own too."""

    def __init__(self, source: str, *arguments: str) -> None:
        self.folder = tempfile.TemporaryDirectory()  # `tmp_path` is too long for the path of a socket
        self.tmp = Path(self.folder.name, "tmp")
        self.tmp.mkdir()
        file = Path(self.folder.name, "script.py")
        file.write_text(source)
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore:This process:DeprecationWarning", file, *arguments],  # of forks
            env={**os.environ, "TMPDIR": str(self.tmp)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.mark = self.line()

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def pids(self, count: int) -> list[int]:
        """The ids that so many workers tell."""
        lines = [self.line() for _ in range(count)]
        assert all(line.startswith("worker ") for line in lines), lines
        return [int(line.removeprefix("worker ")) for line in lines]

    def end(self, *, killed: bool = False) -> list[str]:
        """Wait until nothing of it is left, and return what it has printed and nobody has read.

        What a process that was killed could not delete, the resource tracker deletes, and says so.
        """
        out, err = self.process.communicate(timeout=TIME_LIMIT)
        assert "Traceback" not in err if killed else err == "", err
        remote.until(lambda: not remote.processes_of(self.process.pid), "processes stayed")
        remote.until(lambda: not remote.blocks(self.mark) | remote.semaphores(self.mark), "memory stayed")
        assert killed or not [*self.tmp.iterdir()]
        return out.splitlines()

    def close(self) -> None:
        for pid in remote.processes_of(self.process.pid):  # whatever a failed test has left
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.communicate(timeout=TIME_LIMIT)
        self.folder.cleanup()


Start = Callable[..., Script]


@pytest.fixture
def start() -> Iterator[Start]:
    scripts = []

    def start(source: str, *arguments: str) -> Script:
        scripts.append(Script(source, *arguments))
        return scripts[-1]

    yield start
    for script in scripts:
        script.close()


@linux
class TestAForkedChild:
    @pytest.mark.parametrize("how", ["exit", pytest.param("_exit", marks=SLOW), "multiprocessing"])
    def test_has_processes_of_its_own_and_leaves_its_parents_alone(self, start: Start, how: str) -> None:
        script = start(
            f"""{START}
if __name__ == "__main__":
    mark()
    with pc.Processes(2) as pool:
        results = pool.imap(abs, [-1, -2, -3])
        assert next(results) == 1
        workers = pool.pids()
        if sys.argv[1] == "multiprocessing":
            child = get_context("fork").Process(target=work)
            child.start()
            child.join(30)
            tell("ended", child.exitcode)
        elif child := os.fork():
            tell("ended", os.waitpid(child, 0)[1])
        else:
            work()
            os._exit(0) if sys.argv[1] == "_exit" else sys.exit()  # out of the `with` block, with a generator
        tell("parent", *results, pool.pids() == workers)
""",
            how,
        )
        assert script.end() == ["child 131072 262144", "ended 0", "parent 2 3 True"]

    @pytest.mark.parametrize("threads", [pytest.param(1, marks=SLOW), 3])
    def test_after_a_fork_server_of_multiprocessing(self, start: Start, threads: int) -> None:
        script = start(
            """
import os, sys, threading
from multiprocessing import get_context

def work():
    import parcount as pc

    os.write(1, f"{pc.Processes(2).map(abs, [-1, -2])}\\n".encode())

if __name__ == "__main__":
    print("no mark", flush=True)
    first = get_context("forkserver").Process(target=abs, args=(-1,))
    first.start()
    first.join(30)
    assert first.exitcode == 0
    first.close()
    if child := os.fork():
        print(os.waitpid(child, 0)[1])
    else:
        several = [threading.Thread(target=work) for _ in range(int(sys.argv[1]))]
        for thread in several:
            thread.start()
        for thread in several:
            thread.join(30)
        os._exit(0)  # otherwise some versions of Python wait for the parent's resource tracker, and complain
""",
            str(threads),
        )
        assert script.end() == [*["[1, 2]"] * threads, "0"]

    @pytest.mark.skipif(
        hasattr(ResourceTracker, "__del__") and not hasattr(ResourceTracker, "_after_fork_in_child"),
        reason="the parent's resource tracker waits for the child (https://github.com/python/cpython/issues/146313)",
    )
    @pytest.mark.parametrize("before", [False, pytest.param(True, marks=SLOW)])
    def test_outlives_its_parent(self, start: Start, before: bool) -> None:
        """Whose end deletes the folder in which sockets are."""
        script = start(
            f"""{START}
if __name__ == "__main__":
    mark()
    pc.Processes(1).map(abs, [-1])
    readable, writable = os.pipe()
    if not os.fork():
        os.close(writable)
        if sys.argv[1] == "True":
            work("before")
        os.read(readable, 1)
        work("after")
    elif sys.argv[1] == "True":
        sys.stdin.readline()
""",
            str(before),
        )
        if before:
            assert script.line() == "before 131072 262144"
        assert script.process.stdin is not None
        script.process.stdin.write("\n")
        assert script.end() == ["after 131072 262144"]

    def test_does_not_delay_the_end_of_a_killed_parents_workers(self, start: Start) -> None:
        script = start(f"""{START}
if __name__ == "__main__":
    mark()
    with pc.Processes(2) as pool:
        assert pool.map(abs, [-1]) == [1]
        from multiprocessing.forkserver import _forkserver

        for pid in (*pool.pids(), _forkserver._forkserver_pid):
            tell("worker", pid)
        if not os.fork():
            tell("worker", os.getpid())
            sys.stdin.read()
            os._exit(0)
        threading.Event().wait()
""")
        *ends, child = script.pids(4)
        script.process.kill()
        remote.until(lambda: not any(map(remote.is_alive, ends)), "the parent's processes stayed")
        assert remote.is_alive(child)
        assert script.end(killed=True) == []


DAEMONS = {
    "pool-fork": "pool = get_context('fork').Pool(1); pool.map({}, [{}]); pool.close(); pool.join()",
    "pool-forkserver": "pool = get_context('forkserver').Pool(1); pool.map({}, [{}]); pool.close(); pool.join()",
    "process": "own = get_context('fork').Process(target={}, args=({},), daemon=True); own.start(); own.join(30)",
    "processes": "pc.Processes(1).map({}, [{}])",
    "processes-threads": "pc.Processes(1, threads=2).map({}, [{}])",
}


@linux
class TestADaemonicProcess:
    @pytest.mark.parametrize("kind", [pytest.param(kind, marks=SLOW if "-" in kind else []) for kind in DAEMONS])
    def test_has_workers(self, start: Start, kind: str) -> None:
        script = start(f"""{START}
def several(number):
    assert current_process().daemon
    threads = [threading.Thread(target=work, args=(name,)) for name in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert current_process().daemon

if __name__ == "__main__":
    mark()
    {DAEMONS[kind].format("several", 3)}
""")
        assert sorted(script.end()) == [f"{name} 131072 262144" for name in range(3)]

    @pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
    def test_by_another_start_method(self, start: Start, method: str) -> None:
        script = start(
            f"""{START}
def inner(method):
    return pc.Processes(2, start_method=method).map(abs, [-1, -2])

if __name__ == "__main__":
    mark()
    tell(pc.Processes(1, start_method=sys.argv[1]).map(inner, [sys.argv[1]]))
""",
            method,
        )
        assert script.end() == ["[[1, 2]]"]

    def test_has_no_children_of_multiprocessing_still(self, start: Start) -> None:
        script = start(f"""{START}
def inner(item):
    work()
    try:
        get_context("fork").Process(target=abs, args=(1,)).start()
    except AssertionError as error:
        tell(error)

if __name__ == "__main__":
    mark()
    pc.Processes(1).map(inner, [0])
""")
        assert script.end() == ["child 131072 262144", "daemonic processes are not allowed to have children"]

    def test_takes_its_workers_with_it_when_it_is_killed(self, start: Start) -> None:
        script = start(f"""{START}
if __name__ == "__main__":
    mark()
    try:
        pc.Processes(1, retries=0).map(nest, [2])
    except pc.WorkerDied as error:
        tell(error)
""")
        workers = script.pids(3)
        os.kill(workers[0], signal.SIGKILL)
        (error,) = script.end(killed=True)
        assert "item 0" in error
        assert not [*script.tmp.iterdir()]

    def test_takes_its_workers_with_it_when_its_pool_is_terminated(self, start: Start) -> None:
        script = start(f"""{START}
if __name__ == "__main__":
    mark()
    with get_context("fork").Pool(1) as pool:
        pool.map_async(nest, [1])
        sys.stdin.readline()
    tell("terminated")
""")
        script.pids(2)
        assert script.process.stdin is not None
        script.process.stdin.write("\n")
        assert script.end(killed=True) == ["terminated"]

    @pytest.mark.parametrize("kill", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=SLOW)])
    def test_all_levels_end_with_the_caller(self, start: Start, kill: signal.Signals) -> None:
        script = start(f"""{START}
if __name__ == "__main__":
    mark()
    nest(3)
""")
        assert script.pids(4)[0] == script.process.pid
        script.process.send_signal(kill)
        assert script.end(killed=True) == []


def available(_: object = None) -> set[int]:
    """The number of cores, and what is used by calls that are given no number of workers or threads."""
    return {pc.available_cores(), pc.Threads().workers, pc.Processes().workers, pc.get_num_threads()}


def available_in(execution: pc.Execution) -> set[int]:
    """What is available in the workers of an execution."""
    return set().union(*execution.map(available, range(execution.workers)))


def in_threads(workers: int) -> set[int]:
    return available_in(pc.Threads(workers))


def in_processes(workers: int) -> set[int]:
    """The share of each worker that its fork server starts, which has not the cores that a test pretends."""
    return {int(share) for share in pc.Processes(workers).map(remote.variable, [MAX_CORES] * workers)}


def in_fork(_: object) -> set[int]:
    """What is available in a forked child that is no worker."""
    readable, writable = os.pipe()
    if not os.fork():
        os.write(writable, bytes(available()))
        os._exit(0)
    os.wait()
    return set(os.read(readable, 100))


def in_program(_: object) -> int:
    """What is available to another program."""
    return int(subprocess.check_output(["printenv", MAX_CORES], timeout=TIME_LIMIT))


@pytest.fixture
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Workers that are forked have eight too."""
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(cores, "_quota", lambda *_: None)
    for variable in (*thread_limits.VARIABLES, MAX_CORES, "PARCOUNT_NUM_THREADS"):
        monkeypatch.delenv(variable, raising=False)
    pc.set_num_threads(None)  # the number of cores is determined again
    yield
    monkeypatch.undo()
    pc.set_num_threads(None)


def chosen(_: object) -> tuple[int, int]:
    """The number of threads of a large call, and which threads they are."""
    execution = choose_execution(10**12, None, None)
    return execution.workers, id(execution)


@pytest.mark.usefixtures("eight_cores")
class TestShares:
    def test_the_caller_has_all_cores(self) -> None:
        assert available() == {8}
        assert available_in(pc.Threads(4)) == {2}
        assert available() == {8}

    @pytest.mark.parametrize(("workers", "share"), [(1, 8), (2, 4), (3, 2), (8, 1), (20, 1)])
    def test_in_threads(self, workers: int, share: int) -> None:
        assert in_threads(workers) == {share}

    def test_calls_in_two_threads_use_the_cores_of_both(self) -> None:
        with pc.Threads(2) as threads:
            calls = threads.together(chosen, [0, 1])[0]
        assert [threads for threads, _ in calls] == [4, 4]
        assert len(set(calls)) == 2

    def test_in_threads_of_threads(self) -> None:
        assert pc.Threads(2).map(in_threads, [2, 3, 4, 100]) == [{2}, {1}, {1}, {1}]

    def test_in_other_threads_of_a_coroutine(self) -> None:
        assert pc.Threads(4).map(lambda _: asyncio.run(asyncio.to_thread(available)), [0]) == [{2}]

    def test_in_the_initializer(self) -> None:
        seen: list[set[int]] = []
        pc.Threads(2, initializer=lambda: seen.append(available())).map(abs, [-1])
        assert seen[0] == {4}

    @pytest.mark.parametrize("make", INTERPRETERS)
    def test_in_interpreters(self, make: Callable[[int], pc.Execution]) -> None:
        assert pc.Threads(2).map(lambda _: make(1).map(plain.share, [0]), [0]) == [[(2, 0)]]

    def test_a_number_that_is_given_is_used(self) -> None:
        assert pc.Threads(4).map(lambda number: pc.Threads(number).workers, [7]) == [7]
        assert pc.Threads(4).map(lambda number: choose_execution(10, number, None).workers, [7]) == [7]


@pytest.mark.usefixtures("eight_cores")
class TestSharesOfProcesses:
    pytestmark = FORK_MARKS

    @pytest.mark.parametrize(("workers", "threads", "share"), [(1, 1, 8), (2, 1, 4), (3, 1, 2), (2, 2, 2), (5, 1, 1)])
    def test_in_processes(self, workers: int, threads: int, share: int) -> None:
        assert available_in(pc.Processes(workers, threads=threads, start_method="fork")) == {share}
        assert available() == {8}

    def test_calls_in_two_threads_of_a_process_use_the_cores_of_both(self) -> None:
        with pc.Processes(1, threads=2, start_method="fork") as pool:
            calls = pool.together(chosen, [0, 1])[0]
        assert [threads for threads, _ in calls] == [4, 4]
        assert len(set(calls)) == 2

    def test_in_processes_of_processes(self) -> None:
        assert pc.Processes(2, start_method="fork").map(in_processes, [2, 3, 5]) == [{2}, {1}, {1}]

    def test_in_threads_of_processes(self) -> None:
        assert pc.Processes(2, start_method="fork").map(in_threads, [1, 2, 5]) == [{4}, {2}, {1}]

    def test_in_workers_that_another_thread_starts(self) -> None:
        pool = pc.Processes(2, max_tasks_per_worker=1)
        with ExitStack() as stack:
            pc.Threads(2).map(lambda _: stack.enter_context(pool), [0])
            calls = [pool.submit(remote.variable, MAX_CORES) for _ in range(5)]
            assert {call.result(TIME_LIMIT) for call in calls} == {"2"}

    def test_in_whatever_a_worker_starts(self) -> None:
        with pc.Processes(2, start_method="fork") as pool:
            assert pool.map(in_fork, [0]) == [{4}]
            assert pool.map(in_program, [0]) == [4]

    def test_of_a_limit_that_is_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(MAX_CORES, "6")
        assert available() == {6}
        assert in_processes(2) == {3}
        assert available() == {6}


def test_workers_of_a_fork_server_have_their_share() -> None:
    everything = pc.available_cores()
    assert pc.Processes(2).map(remote.variable, [MAX_CORES]) == [str(max(1, everything // 2))]
    assert available_in(pc.Processes(everything)) == {1}
