"""`SharedCounter`."""

import errno
import gc
import multiprocessing
import os
import pickle
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import parcount as pc
from parcount.shm import mapping, segment, segment_portable
from tests.conftest import Run
from tests.counters import workers
from tests.counters.support import LEAST, MARK, Start, ended, exists, on_linux
from tests.execution.executions import START_METHODS
from tests.remote import TIME_LIMIT, until
from tests.together import repeat, together

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("nothing_is_left")]


class RemoteCounter:
    """A counter in another process."""

    def __init__(self, start: Start, counter: Any) -> None:
        self.pipe, theirs = multiprocessing.Pipe()
        self.process = start(workers.obey, (theirs, counter))
        theirs.close()
        assert self("increment")

    def __call__(self, method: str) -> Any:
        self.pipe.send(method)
        assert self.pipe.poll(TIME_LIMIT), "no answer"
        return self.pipe.recv()

    def end(self) -> int:
        self.pipe.send("end")
        return ended(self.process)


class TestCounting:
    def test_workers_lose_no_count(self, start: Start) -> None:
        with pc.SharedCounter(7) as counter:
            processes = [start(workers.count, (counter,)) for _ in range(3)]
            workers.count(counter)
            assert [ended(process) for process in processes] == [0, 0, 0]
            assert counter.value == 7 + 4 * 3000

    @pytest.mark.parametrize("method", START_METHODS)
    def test_is_sent_to_workers_of_a_pool(self, method: str) -> None:
        with pc.SharedCounter() as counter, pc.Processes(2, start_method=method) as processes:
            for _ in range(5):
                processes.together(workers.count, [counter] * 2)
            assert counter.value == 10 * 3000

    def test_a_worker_resets_the_counts_of_others(self, start: Start) -> None:
        with pc.SharedCounter() as counter:
            other = RemoteCounter(start, counter)
            counter.add(4)
            assert other("reset") == 5
            assert counter.value == 0
            assert other("increment") == 1
            assert counter.increment() == 2
            assert other.end() == 0

    def test_threads_of_several_processes(self, start: Start) -> None:
        with pc.SharedCounter() as counter:
            process = start(workers.count, (counter,))
            together(*[lambda: workers.count(pickle.loads(pickle.dumps(counter)))] * 3)
            assert ended(process) == 0
            assert counter.value == 4 * 3000

    def test_unrelated_processes_by_name(self, tmp_path: Path) -> None:
        script = tmp_path / "script.py"
        script.write_text(
            """
import sys, time
import parcount as pc

with pc.SharedCounter.attach(sys.argv[1]) as there, pc.SharedCounter.attach(sys.argv[2]) as counter:
    there.increment()
    deadline = time.monotonic() + 30
    while there.value < 3:
        assert time.monotonic() < deadline
    for _ in range(2000):
        counter.increment()
"""
        )
        with pc.SharedCounter() as there, pc.SharedCounter(name=f"{MARK}visits") as counter:
            others = [
                subprocess.Popen([sys.executable, script, there.name, counter.name], stderr=subprocess.PIPE, text=True)
                for _ in range(3)
            ]
            errors = [other.communicate(timeout=TIME_LIMIT)[1] for other in others]
            assert errors == ["", "", ""]
            assert counter.value == 6000

    def test_a_new_process_finds_the_count(self, run_script: Run) -> None:
        with pc.SharedCounter(5) as counter:
            ran = run_script(f"import parcount as pc\nprint(pc.SharedCounter.attach({counter.name!r}).add(-7))")
            assert (ran.stdout, ran.stderr) == ("-2\n", "")
            assert counter.value == -2


class TestKilledWorkers:
    @pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to kill a process with")
    def test_a_killed_worker_loses_only_its_uncounted_items(self, start: Start) -> None:
        many, times = 4, 20_000
        order = random.Random(1)
        before, after = multiprocessing.RawArray("q", many), multiprocessing.RawArray("q", many)
        with pc.SharedCounter() as counter:
            victims = order.sample(range(many), 2)
            goals = [1 << 40 if worker in victims else times for worker in range(many)]
            processes = [start(workers.report_and_count, (counter, before, after, *goal)) for goal in enumerate(goals)]
            for victim in victims:
                instant = order.randrange(1, times)
                until(lambda victim=victim, instant=instant: before[victim] >= instant, "a worker does not count")
                processes[victim].kill()
            codes = [ended(process) for process in processes]
            assert codes == [-signal.SIGKILL if worker in victims else 0 for worker in range(many)]
            unharmed = [worker for worker in range(many) if worker not in victims]
            assert [after[worker] for worker in unharmed] == [times, times]
            assert all(0 <= begun - done <= 1 for begun, done in zip(before, after, strict=True))
            assert sum(after) <= counter.value <= sum(before)
            value = counter.value
            assert counter.increment() == value + 1

    @on_linux
    @pytest.mark.parametrize("end", [workers.end_at_once, workers.die_counting])
    def test_other_owners_keep_the_name(self, start: Start, end: Any) -> None:
        with pc.SharedCounter() as counter:
            assert ended(start(end, (counter,))) in (3, -signal.SIGKILL)
            assert exists(counter.name)
            assert counter.value == 1
        assert not exists(counter.name)

    @on_linux
    def test_the_next_segment_unlinks_those_of_killed_processes(self, run_script: Run) -> None:
        ran = run_script("""
import os, signal, parcount as pc

counter = pc.SharedCounter()
kept = pc.SharedCounter()
print(counter.name, flush=True)
if os.fork():
    os.wait()
os.kill(os.getpid(), signal.SIGKILL)
""")
        assert ran.returncode == -signal.SIGKILL
        name = ran.stdout.split()[0]
        with pc.SharedCounter():
            assert not exists(name)
        with pytest.raises(FileNotFoundError):
            pc.SharedCounter.attach(name)


@on_linux
class TestOwners:
    def test_the_last_to_end_unlinks(self, start: Start) -> None:
        counter = pc.SharedCounter()
        name = counter.name
        others = [RemoteCounter(start, counter) for _ in range(2)]
        counter.close()
        assert exists(name)
        assert others[0].end() == 0
        assert exists(name)
        with pc.SharedCounter.attach(name) as again:
            assert again.increment() == 3
        assert exists(name)
        assert others[1]("increment") == 4
        assert others[1].end() == 0
        assert not exists(name)

    def test_the_last_to_close_unlinks(self, start: Start) -> None:
        counter = pc.SharedCounter()
        other = RemoteCounter(start, counter)
        counter.close()
        assert exists(counter.name)
        other("close")
        assert not exists(counter.name)
        assert other.end() == 0

    def test_freed_counters_are_closed(self, start: Start) -> None:
        counter = pc.SharedCounter()
        name = counter.name
        other = RemoteCounter(start, counter)
        del counter
        gc.collect()
        assert exists(name)
        assert other.end() == 0
        assert not exists(name)

    def test_each_object_of_a_process_owns_it(self) -> None:
        counter = pc.SharedCounter(1)
        again = pickle.loads(pickle.dumps(counter))
        counter.close()
        assert exists(again.name)
        assert again.increment() == 2
        again.close()
        assert not exists(again.name)

    @pytest.mark.parametrize("how", ["", "counter.close()", "sys.exit(0)", "raise SystemExit", "del counter"])
    def test_the_end_of_a_script_leaves_nothing(self, run_script: Run, how: str) -> None:
        ran = run_script(f"""
import sys, parcount as pc
counter = pc.SharedCounter()
kept = [counter.local()]
print(counter.name)
{how}
""")
        assert (ran.returncode, ran.stderr) == (0, "")
        assert not exists(ran.stdout.strip())

    @pytest.mark.parametrize("end", ["os._exit(0)", "sys.exit(0)"])
    def test_a_forked_child_owns_it_too(self, run_script: Run, end: str) -> None:
        # The parent ends first, without a word; then the child's lock alone keeps the name.
        ran = run_script(f"""
import os, sys, time
import parcount as pc

counter = pc.SharedCounter()
parent = os.getpid()
if os.fork():
    os._exit(0)
deadline = time.monotonic() + 30
while os.getppid() == parent:
    assert time.monotonic() < deadline
    time.sleep(0.001)
print(counter.name, os.path.exists("/dev/shm/parcount-" + counter.name), flush=True)
{end}
""")
        assert ran.stderr == ""
        name, still = ran.stdout.split()
        assert still == "True"
        if end == "os._exit(0)":  # nothing is done at such an end: the next one sweeps
            pc.SharedCounter().close()
        assert not exists(name)

    def test_a_child_of_a_child(self, run_script: Run) -> None:
        ran = run_script("""
import os, sys
import parcount as pc

counter = pc.SharedCounter()
for _ in range(3):
    child = os.fork()
    if child:
        assert os.waitpid(child, 0)[1] == 0
        assert os.path.exists("/dev/shm/parcount-" + counter.name)
        break
    counter.increment()
else:
    counter.close()
print(counter.name)
sys.exit(0)
""")
        assert ran.stderr == ""
        (name,) = set(ran.stdout.split())
        assert not exists(name)

    def test_a_subprocess_does_not_own_it(self) -> None:
        counter = pc.SharedCounter()
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False) as other:
            counter.close()
            assert not exists(counter.name)
            other.communicate(b"\n", TIME_LIMIT)

    def test_no_descriptor_leaks(self) -> None:
        def churn() -> int:
            for _ in range(20):
                with pc.SharedCounter() as counter:
                    pickle.loads(pickle.dumps(counter)).increment()
            gc.collect()
            return len(list(Path("/proc/self/fd").iterdir()))

        assert churn() == churn()

    def test_no_descriptor_leaks_in_forks(self, run_script: Run) -> None:
        ran = run_script("""
import os, parcount as pc

counter = pc.SharedCounter()
before = len(os.listdir("/proc/self/fd"))
for _ in range(3):
    child = os.fork()
    if child == 0:
        os._exit(len(os.listdir("/proc/self/fd")) - before)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print(len(os.listdir("/proc/self/fd")) - before)
""")
        assert (ran.stdout, ran.stderr) == ("0\n", "")

    def test_concurrent_attach_and_close(self) -> None:
        with pc.SharedCounter() as counter:

            def again() -> None:
                with pc.SharedCounter.attach(counter.name) as also, pc.SharedCounter() as swept:
                    also.increment()
                    assert exists(swept.name)

            together(*[repeat(again, 100)] * 4)
            assert counter.value == 400

    def test_concurrent_closes_unlink_once(self) -> None:
        for _ in range(30):
            counter = pc.SharedCounter()
            together(*[pc.SharedCounter.attach(counter.name).close for _ in range(4)], counter.close)
            assert not exists(counter.name)

    def test_fork_during_attach(self) -> None:
        segment_linux = pytest.importorskip("parcount.shm.segment_linux", reason="elsewhere forks need no care")
        counters = [pc.SharedCounter() for _ in range(20)]

        def attach() -> None:
            for counter in counters * 10:
                pc.SharedCounter.attach(counter.name).close()

        def fork() -> None:
            for _ in range(50):
                segment_linux._before_fork()
                segment_linux._after_fork_in_parent()

        together(attach, fork, attach, fork)
        for counter in counters:
            counter.close()
        assert not any(exists(counter.name) for counter in counters)

    def test_too_many_open_files_at_a_fork(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: Any) -> int:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        segment_linux = pytest.importorskip("parcount.shm.segment_linux", reason="elsewhere forks need no care")
        counter = pc.SharedCounter()
        with monkeypatch.context() as patch:
            patch.setattr(mapping, "open_file", full)
            segment_linux._before_fork()
        segment_linux._after_fork_in_parent()
        counter.close()
        assert not exists(counter.name)


@contextmanager
def locked_file(content: bytes, exclusive: bool) -> Iterator[str]:
    """The name of a segment with this content. It is locked first: other processes unlink segments without a lock."""
    fcntl = pytest.importorskip("fcntl")
    path = Path(f"/dev/shm/parcount-{MARK}locked")
    unnamed = path.with_name(f"{MARK}locked")
    with unnamed.open("xb") as file:
        try:
            file.write(content)
            file.flush()
            fcntl.flock(file, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
            unnamed.rename(path)
            yield path.name.removeprefix("parcount-")
        finally:
            unnamed.unlink(missing_ok=True)
            path.unlink(missing_ok=True)


def header(cells: int) -> bytes:
    return segment._HEADER.pack(b"parcount", b"SharedCounter", cells)


class TestNames:
    def test_a_name_in_use_is_refused(self) -> None:
        with pc.SharedCounter(3, name=f"{MARK}twice") as counter:
            with pytest.raises(FileExistsError, match=rf"\] the name is in use: '{counter.name}'$"):
                pc.SharedCounter(name=counter.name)
            assert counter.value == 3
            assert pc.SharedCounter.attach(counter.name).value == 3
        with pc.SharedCounter(4, name=counter.name) as counter:
            assert counter.value == 4

    def test_one_of_many_creates_the_name(self) -> None:
        def attempt() -> bool:
            try:
                made.append(pc.SharedCounter(name=f"{MARK}race"))
            except FileExistsError:
                return False
            return True

        for _ in range(20):
            made: list[pc.SharedCounter] = []
            assert sum(together(*[attempt] * 4)) == 1
            made[0].close()

    def test_an_unknown_name(self) -> None:
        with pytest.raises(FileNotFoundError, match=r"\] no counter has this name: 'nobody-has-this-name'$"):
            pc.SharedCounter.attach("nobody-has-this-name")

    @on_linux
    def test_a_name_that_is_too_long(self) -> None:
        with pytest.raises(OSError, match=r"\] the name is too long: 'xx.*x'$"):
            pc.SharedCounter(name="x" * 300)

    def test_more_cells_than_can_be_addressed(self) -> None:
        with pytest.raises(OSError, match="shared memory"):
            pc.CounterArray(1 << 62, shared=True)

    @pytest.mark.parametrize("name", ["", "a/b", "../x", "a\0b", "a~b"])
    def test_invalid_names(self, name: str) -> None:
        with pytest.raises(ValueError, match="name must not"):
            pc.SharedCounter(name=name)
        with pytest.raises(ValueError, match="name must not"):
            pc.SharedCounter.attach(name)

    @pytest.mark.parametrize("name", [b"bytes", 5])
    def test_names_that_are_not_str(self, name: Any) -> None:
        with pytest.raises(TypeError, match="name must be a str"):
            pc.SharedCounter(name=name)

    @on_linux
    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"short",
            b"not ours".ljust(500),
            *(header(cells).ljust(136, b"\0") for cells in (2, 0, -1, LEAST)),
            header(1).ljust(135, b"\0"),
        ],
        ids=["empty", "short", "another", "2 cells", "no cells", "-1 cells", "least cells", "cut"],
    )
    def test_segments_that_are_not_valid(self, content: bytes) -> None:
        with (
            locked_file(content, exclusive=False) as name,
            pytest.raises(ValueError, match=r"' is (not a valid SharedCounter|empty)|have at least one cell"),
        ):
            pc.SharedCounter.attach(name)

    @on_linux
    def test_a_segment_of_another_user_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pc.SharedCounter() as counter, monkeypatch.context() as patch:
            patch.setattr(os, "geteuid", lambda: os.getuid() + 1)
            with pytest.raises(PermissionError, match="belongs to another user"):
                pc.SharedCounter.attach(counter.name)

    @on_linux
    @pytest.mark.parametrize("directory", [False, True])
    def test_a_link_is_not_followed(self, tmp_path: Path, directory: bool) -> None:
        with pc.SharedCounter() as counter:
            link = Path(f"/dev/shm/parcount-{MARK}link")
            link.symlink_to(tmp_path if directory else f"/dev/shm/parcount-{counter.name}")
            try:
                with pytest.raises(OSError, match="symbolic links"):
                    pc.SharedCounter.attach(link.name.removeprefix("parcount-"))
            finally:
                link.unlink()

    @on_linux
    def test_a_held_lock_times_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("parcount.shm.segment_linux.LOCK_TIMEOUT", 0.02)
        with (
            locked_file(b"", exclusive=True) as name,
            pytest.raises(TimeoutError, match=rf"another process has held the lock for 0.02 s: '{name}'"),
        ):
            pc.SharedCounter.attach(name)


class TestClosing:
    def test_closed_counters_raise(self) -> None:
        counter = pc.SharedCounter(5)
        handle = counter.local()
        counter.close()
        counter.close()
        for use in (
            counter.increment,
            lambda: counter.add(1),
            lambda: counter.value,
            lambda: int(counter),
            counter.reset,
            counter.local,
            handle.increment,
            lambda: handle.add(1),
            lambda: pickle.dumps(counter),
        ):
            with pytest.raises(ValueError, match="this counter is closed"):
                use()
        assert repr(counter) == f"<SharedCounter {counter.name!r}, closed>"

    def test_with_closes(self) -> None:
        with pytest.raises(LookupError), pc.SharedCounter() as counter:
            raise LookupError
        with pytest.raises(ValueError, match="closed"):
            counter.increment()

    def test_closing_while_others_count(self) -> None:
        for _ in range(20):
            counter = pc.SharedCounter()

            handle = counter.local()

            def count_on(*ways: Callable[[], int]) -> None:
                while True:
                    for way in ways:
                        way()

            def count(*ways: Callable[[], int]) -> None:
                with pytest.raises(ValueError, match="closed"):
                    count_on(*ways)

            together(partial(count, counter.increment), partial(count, handle.increment), counter.close)


class TestMemory:
    @on_linux
    def test_not_enough_shared_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: Any) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        for function, create in (
            ("pwrite", pc.SharedCounter),
            ("posix_fallocate", lambda: pc.CounterArray(2, shared=True)),
        ):
            with monkeypatch.context() as patch:
                patch.setattr(os, function, full)
                with pytest.raises(OSError, match=r"no room for .* bytes of shared memory"):
                    create()


class TestPortableSegment:
    """The segments of other systems, which work on Linux too."""

    @pytest.fixture(autouse=True)
    def elsewhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(segment, "Segment", segment_portable.PortableSegment)

    def test_counts(self) -> None:
        with pc.SharedCounter(5) as counter:
            assert pc.SharedCounter.attach(counter.name).add(3) == 8
            assert counter.value == 8
            with pytest.raises(FileExistsError):
                pc.SharedCounter(name=counter.name)
        if sys.platform != "win32":
            with pytest.raises(FileNotFoundError):
                pc.SharedCounter.attach(counter.name)

    def test_attached_processes_do_not_unlink(self, run_script: Run) -> None:
        with pc.SharedCounter() as counter:
            for value in (1, 2):
                ran = run_script(f"""
import parcount as pc
from parcount.shm import segment, segment_portable

segment.Segment = segment_portable.PortableSegment
with pc.SharedCounter.attach({counter.name!r}) as counter:
    print(counter.increment())
""")
                assert (ran.stdout, ran.stderr) == (f"{value}\n", "")
            assert counter.value == 2

    def test_the_end_of_a_script_leaves_nothing(self, run_script: Run) -> None:
        ran = run_script("""
import os, parcount as pc
from parcount.shm import segment, segment_portable

segment.Segment = segment_portable.PortableSegment
counter = pc.SharedCounter()
if hasattr(os, "fork"):
    child = os.fork()
    if child == 0:
        del counter
        os._exit(0)
    os.waitpid(child, 0)
    pc.SharedCounter.attach(counter.name)
print(counter.name)
""")
        assert ran.stderr == ""
        with pytest.raises(FileNotFoundError):
            pc.SharedCounter.attach(ran.stdout.split()[0])
