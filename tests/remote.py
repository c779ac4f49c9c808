"""Functions that tests send to worker processes, which import this module by name."""

import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event, Lock, get_ident
from typing import Any, ClassVar, NoReturn
from uuid import uuid4

import numpy as np

import parcount as pc
from parcount.execution.processes import channel, serialisation, worker
from tests import plain
from tests.plain import TIME_LIMIT, until


def echo(x: Any) -> Any:
    return x


def pid(_: Any) -> int:
    return os.getpid()


class Unpicklable(Exception):
    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.lock = Lock()


def fail_unpicklably(x: int) -> NoReturn:
    raise Unpicklable("has a lock")


def fail_with_array(size: int) -> NoReturn:
    raise ValueError(np.arange(size))


class Slow:
    """An item that marks that it has arrived, the last one late: time for a hasty worker to betray itself."""

    def __init__(self, number: int, arrived: np.ndarray, begun: np.ndarray) -> None:
        self.number = number
        self.arrived = arrived
        self.begun = begun

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self.number == len(self.arrived) - 1:
            deadline = time.monotonic() + 0.3
            while not self.begun.any() and time.monotonic() < deadline:
                time.sleep(0.001)
        self.arrived[self.number] = 1


def all_arrived(item: Slow) -> bool:
    item.begun[item.number] = 1
    return bool(item.arrived.all())


class RefusesToArrive:
    def __reduce__(self) -> Any:
        return refuse, ()


def refuse() -> NoReturn:
    raise LookupError("this item cannot be unpickled")


def unpicklable_result(x: Any) -> Any:
    return Lock()


def lock_on_odd(x: int) -> dict[str, Any]:
    return {"made": Lock() if x % 2 else None}


def kill_self(x: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def exit_at_once(code: int) -> None:
    os._exit(code)


def leave(code: Any) -> None:
    sys.exit(code)


def kill_instead(*_: Any) -> None:
    """In place of what a worker runs."""
    kill_self(_)


@dataclass(frozen=True)
class DieOn:
    """Item `victim` kills its worker; the others come back."""

    victim: int

    def __call__(self, item: int) -> int:
        if item == self.victim:
            kill_self(item)
        return item


@dataclass(frozen=True)
class HangOn:
    """Item `victim` hangs; the others come back."""

    victim: int

    def __call__(self, item: int) -> int:
        if item == self.victim:
            hang(item)
        return item


@dataclass(frozen=True)
class AnswerThenDie:
    """Item 0 kills its worker when item 1's answer lies in shared memory; the answer is sent when that worker is dead.

    Item 0 locks a file, and the system unlocks it when the worker has ended.
    """

    mark: str
    path: Path

    def __call__(self, item: int) -> Any:
        if item == 1:
            until(lambda: not _lock(self.path), "item 0 did not lock the file")
            return [np.arange(serialisation.SHARED_COPY_MIN_BYTES), _SentAfter(self.path)]
        until(lambda: _lock(self.path, keep=True), "the file stayed locked")
        until(lambda: blocks(f"{self.mark}-*"), "no answer lay in shared memory")
        return kill_self(item)


@dataclass(frozen=True)
class _SentAfter:
    """Its pickling lasts until nobody locks the file."""

    path: Path

    def __reduce__(self) -> Any:
        until(lambda: _lock(self.path), "the file stayed locked")
        return _SentAfter, (self.path,)


def _lock(path: Path, keep: bool = False) -> bool:
    """Whether the file could be locked, by this process if it is to keep the lock."""
    import fcntl

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    if not keep:
        os.close(descriptor)
    return True


def blocks(mark: str) -> set[str]:
    """The shared memory, by name, of the process with this mark and of its workers; only Linux can list it."""
    return {path.name for path in Path("/dev/shm").glob(f"{mark}-*")}


def semaphores(mark: str) -> set[str]:
    """The semaphores, by name, of a process that has this mark as their prefix, and of its workers."""
    return {path.name for path in Path("/dev/shm").glob(f"sem.{mark}-*")}


def processes_of(session: int) -> list[int]:
    """Those that run, of a session, as `setsid` begins one."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, _, of, *_ = stat.read_text().rpartition(")")[2].split()
            if int(of) == session and state != "Z":
                found.append(int(stat.parent.name))
    return found


def ones(size: int) -> np.ndarray:
    return np.ones(size)


def own_shared_array(size: int) -> np.ndarray:
    made = pc.shared_array(size)
    made[:] = np.arange(size)
    return made


def first_half(a: np.ndarray) -> np.ndarray:
    return a[: len(a) // 2]


def count_up(a: np.ndarray) -> None:
    a += 1


def describe(a: np.ndarray) -> tuple[Any, ...]:
    """What a worker sees of an array."""
    return a.shape, a.dtype, repr(a.tolist()) if a.dtype.hasobject else a.tobytes()


def is_writeable(a: np.ndarray) -> bool:
    return a.flags.writeable


def spy(counts: np.ndarray, *args: Any, threads: int = 1) -> None:
    """A kernel with its own threads, which counts how many it was told to use."""
    counts[threads] += 1


spy.own_threads = True  # type: ignore[attr-defined]


def die(counts: np.ndarray, *args: Any) -> NoReturn:
    """A loop that ends its worker."""
    os._exit(1)


KEPT: list[Any] = []


def keep(x: Any) -> int:
    """Hold on to an item past the call."""
    KEPT.append(x)
    return len(KEPT)


def kept(position: int) -> Any:
    return KEPT[position]


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has waited for does not.

    Of a process with several threads the first may have ended before the last has closed its pipes.
    """
    if sys.platform == "win32":  # where os.kill(pid, 0) is Ctrl-C
        return any(child.pid == pid for child in multiprocessing.active_children())
    try:
        os.kill(pid, 0)
        place = Path(f"/proc/{pid}")
        return (place / "stat").read_text().rpartition(")")[2].split()[0] != "Z" or len([*place.glob("task/*")]) > 1
    except ProcessLookupError:
        return False
    except FileNotFoundError:  # it went meanwhile; or this system has no /proc
        return sys.platform != "linux"


@dataclass(frozen=True)
class DieAtFirst:
    """Counts up the cell of its item in `tried`; the first tries of item `victim`, as many as `times`, end badly."""

    tried: np.ndarray
    victim: int
    times: int
    how: Callable[[Any], Any] = kill_self

    def __call__(self, item: int) -> int:
        self.tried[item] += 1
        if item == self.victim and self.tried[item] <= self.times:
            self.how(item)
        return item


@dataclass(frozen=True)
class CountUpAndDie:
    """Counts up an array, and ends its worker the first time."""

    tried: np.ndarray

    def __call__(self, a: np.ndarray) -> tuple[int, int]:
        a += 1
        self.tried[0] += 1
        if self.tried[0] == 1:
            kill_self(a)
        return int(a.min()), int(a.max())


@dataclass(frozen=True)
class AfterTheDeath:
    """Item 0 dies at its first try; item 1 answers, with its worker's id, only once item 0 is tried again."""

    tried: np.ndarray

    def __call__(self, item: int) -> int:
        self.tried[item] += 1
        if item == 0 and self.tried[0] == 1:
            until(lambda: self.tried[1], "item 1 was not begun")
            kill_self(item)
        if item == 1:
            until(lambda: self.tried[0] == 2, "item 0 was not tried again")
        return os.getpid()


def hang(_: Any) -> None:
    """Longer than any timeout here; not for ever, lest a failed test leave it."""
    Event().wait(TIME_LIMIT)


def increment_and_die(counts: np.ndarray) -> NoReturn:
    """A loop that counts in place, and ends its worker."""
    counts += 1
    os._exit(5)


def from_a_passing_file(size: int) -> np.ndarray:
    """An array over a file that is gone when the caller could open it."""
    with tempfile.TemporaryDirectory() as folder:
        made = np.memmap(Path(folder) / "passing", np.int64, "w+", shape=(size,))
        made[:] = np.arange(size)
        return made


class RefusesToLeave:
    def __reduce__(self) -> Any:
        raise LookupError("not me")


@dataclass(frozen=True)
class MeetAndTellWhere:
    """Each guest waits until all are there, and tells its process and thread."""

    present: np.ndarray

    def __call__(self, guest: int) -> tuple[int, int]:
        plain.Meeting(self.present)(guest)
        return os.getpid(), get_ident()


@dataclass(frozen=True)
class FailOnceTheOthersHaveBegun:
    """Item `victim` raises when all others have begun; these go on until it has."""

    begun: np.ndarray
    victim: int

    def __call__(self, item: int) -> None:
        if item == self.victim:
            until(lambda: self.begun.sum() == len(self.begun) - 1, "the others did not begin")
            raise LookupError(f"item {item}")
        self.begun[item] = 1


@dataclass(frozen=True)
class DieOnceAllHaveBegun:
    """Item 0 kills its process when all have begun, if it has not been tried before; nobody is done before that."""

    tried: np.ndarray

    def __call__(self, item: int) -> int:
        self.tried[item] += 1
        until(self.tried.all, "the others did not begin")
        if item == 0 and self.tried[0] == 1:
            kill_self(item)
        until(lambda: self.tried[0] == 2, "item 0 was not tried again")
        return item


def inner_threads(_: Any) -> list[int]:
    """How many threads each pool of this process has, as threadpoolctl finds them."""
    from threadpoolctl import threadpool_info

    return [pool["num_threads"] for pool in threadpool_info()]


def variable(name: str) -> str | None:
    return os.environ.get(name)


def pid_and_item(item: Any) -> tuple[int, Any]:
    return os.getpid(), item


def thread_names() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


def block_of_keys(number: int, size: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 100, size)


@dataclass(frozen=True)
class MadeBlock:
    """Makes a block of keys and leaves a file for it; those from `wait_from` on then wait for the file ``go``."""

    place: Path
    size: int
    wait_from: int

    def __call__(self, block_id: tuple[int]) -> np.ndarray:
        (number,) = block_id
        (self.place / f"made-{number}-{uuid4().hex}").touch()
        if number >= self.wait_from:
            (self.place / f"waits-{os.getpid()}").touch()
            until((self.place / "go").exists, "nobody was killed")
        return block_of_keys(number, self.size)


class HangsOnArrival:
    """An item that its worker is not done unpickling when the timeout comes."""

    def __reduce__(self) -> Any:
        return hang, (None,)


def stop_halfway(n: int) -> np.ndarray:
    """Stop this process after it has sent the first bytes of its answer, which is a large array."""

    def send(connection: Any, buffer: bytes) -> None:
        os.write(connection.fileno(), buffer[:1000])
        if len(buffer) > 1000:
            os.kill(os.getpid(), signal.SIGSTOP)

    def write(connection: Any, buffers: Sequence[bytes], _: object) -> None:
        send(connection, b"".join(buffers))

    channel._write = write
    Connection._send = send  # type: ignore[attr-defined]  # of a queue
    return np.ones(n)


@dataclass
class InterruptedOnce:
    """Serves as a worker, but the first one is interrupted."""

    file: Path

    def __call__(self, *arguments: Any) -> None:
        if not self.file.exists():
            self.file.touch()
            raise KeyboardInterrupt
        worker.serve(*arguments)


def stop(_: object) -> None:
    """Stop this process."""
    os.kill(os.getpid(), signal.SIGSTOP)


def define(x: int) -> tuple[type, Any, Callable[[Any], int]]:
    """A class and a function of which only this process knows."""

    class Made:
        value = x

    return Made, Made(), lambda one: one.value


class Registry:
    kinds: ClassVar[list[type]] = []

    def __init_subclass__(cls) -> None:
        Registry.kinds.append(cls)


def fail_if(told: np.ndarray) -> None:
    if told[0]:
        raise LookupError("the initializer was told to fail")


def kill_self_if(told: np.ndarray) -> None:
    if told[0]:
        kill_self(None)


def begin_and_wait(begun: np.ndarray, gate: np.ndarray, number: int) -> int:
    begun[number] += 1
    return plain.wait_for(gate, number)


def hang_briefly() -> None:
    time.sleep(0.3)
