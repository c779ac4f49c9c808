import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

import parcount as pc
from tests.embedding.work import MARK
from tests.remote import TIME_LIMIT, until

ROOT = Path(__file__).parents[2]


class Program:
    """A program in a session of its own, which begins with a Python module."""

    def __init__(
        self, folder: Path, mark: str, *arguments: str, pass_fds: tuple[int, ...] = (), **variables: str
    ) -> None:
        self.mark = mark
        self.output, self.errors = folder / "output", folder / "errors"
        with self.output.open("w") as output, self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                cwd=ROOT,
                env={**os.environ, MARK: mark, **variables},
                pass_fds=pass_fds,
                start_new_session=True,
            )

    def stop(self) -> None:
        """Stop it by SIGTERM."""
        self.process.terminate()
        self.ends(0)

    def ends(self, code: int) -> None:
        """Wait for its end, after which neither processes nor shared memory are left; `mark` sees to the counters."""
        mapped = self.shared_memory()
        assert self.process.wait(TIME_LIMIT) == code
        until(lambda: not self.processes(), "processes are left")
        assert not [path for path in mapped - counters(self.mark) if path.exists()]

    def processes(self) -> set[int]:
        """Its processes that run."""
        running = set()
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):  # it has ended
                state, _, _, session, *_ = path.read_text().rpartition(")")[2].split()
                if int(session) == self.process.pid and state not in "ZX":
                    running.add(int(path.parent.name))
        return running

    def shared_memory(self) -> set[Path]:
        """The shared memory, with a name, that its processes use, semaphores too."""
        lines = []
        for process in self.processes():
            with suppress(OSError):
                lines += Path(f"/proc/{process}/maps").read_text().splitlines()
        return {Path(line.split(maxsplit=5)[5]) for line in lines if "/dev/shm/" in line and "(deleted)" not in line}

    def kill(self) -> None:
        """Kill all that is left."""
        for process in self.processes():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self.process.wait(TIME_LIMIT)


def counters(mark: str) -> set[Path]:
    """The shared memory of a program's counters."""
    return {*Path("/dev/shm").glob(f"parcount-{mark}*")}


Start = Callable[..., Program]

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists sessions and shared memory")


@pytest.fixture
def mark() -> Iterator[str]:
    """The prefix of the names of a program's counters, of which none is left."""
    mark = f"test{token_hex(4)}-"
    yield mark
    left = counters(mark)
    pc.SharedCounter().close()  # which removes what killed processes have left
    assert not left


@pytest.fixture
def start(tmp_path: Path, mark: str) -> Iterator[Start]:
    """Start a program; it is killed at the end, and what it has printed is shown if the test fails."""
    started: list[Program] = []

    def start(*arguments: str, **options: Any) -> Program:
        started.append(Program(tmp_path, mark, *arguments, **options))
        return started[-1]

    yield start
    for program in started:
        program.kill()
        print(program.output.read_text(), program.errors.read_text(), sep="\n")
