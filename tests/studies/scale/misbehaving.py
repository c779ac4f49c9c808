"""Functions that a measurement has to survive: each is a target, as ``misbehaving.py:NAME``."""

import contextlib
import ctypes
import functools
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator


def work() -> int:
    """Do what the others do beside their misbehaviour, for about 0.1 ms."""
    return sum(range(10000))


def raises() -> None:
    """Raise in each call."""
    work()
    raise ValueError("planted: no such colour")


def raises_in_threads() -> None:
    """Raise in any thread but the first."""
    work()
    if threading.current_thread() is not threading.main_thread():
        raise ValueError("planted: in a thread")


calls = 0


def raises_later() -> None:
    """Raise in the thousandth call of a process, after any calibration of one call or a few."""
    global calls
    work()
    calls += 1
    if calls >= 1000:
        raise ValueError("planted: the thousandth call")


class UnpicklableError(Exception):
    """An exception that no other process can receive."""

    def __init__(self) -> None:
        super().__init__("planted: it holds a lock")
        self.lock = threading.Lock()


def raises_unpicklable() -> None:
    """Raise what cannot be pickled."""
    raise UnpicklableError


def raises_unprintable() -> None:
    """Raise what raises when it is printed."""

    class UnprintableError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("planted: no text")

    raise UnprintableError


def interrupts() -> None:
    """Raise what Ctrl-C raises, which is no Exception."""
    raise KeyboardInterrupt


def recurses() -> None:
    """Exceed the limit of recursion."""
    recurses()


def returns_at_once() -> None:
    """Take less time than a look at the clock."""


def waits_for_ever() -> None:
    """Wait, with the GIL released, for what never happens."""
    threading.Event().wait()


def runs_for_ever() -> None:
    """Run bytecode for ever."""
    while True:
        pass


def holds_the_gil_for_ever() -> None:
    """Keep the GIL for ever, so that no other thread of the process runs."""
    ctypes.PyDLL(None).pause()


def waits_for_other_workers() -> None:
    """Wait until two threads of one process are here, which alone never happens."""
    both.wait()


both = threading.Barrier(2)


def prints() -> None:
    """Print to both streams of Python."""
    work()
    print("planted: output")
    print("planted: complaint", file=sys.stderr)


def prints_json() -> None:
    """Print what looks like an answer of an agent."""
    work()
    print('{"ok": true, "calls": [1000000]}', flush=True)


def prints_much() -> None:
    """Fill any pipe that nobody reads."""
    print("planted: output " * 10000)


def prints_by_descriptor() -> None:
    """Write to the streams' descriptors, as a C library does, and bytes that are no text."""
    work()
    os.write(1, b"planted: \xff\x00\n")
    os.write(2, b"planted: \xff\x00\n")


def reads_input() -> None:
    """Read the standard input, which ends at once."""
    work()
    with contextlib.suppress(EOFError):
        input()


def closes_streams() -> None:
    """Close the streams of Python, and their descriptors."""
    work()
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        stream.close()
    for descriptor in range(3):
        with contextlib.suppress(OSError):
            os.close(descriptor)


def exits() -> None:
    """Raise SystemExit."""
    sys.exit(3)


def exits_at_once() -> None:
    """End the process without a word."""
    os._exit(3)


def kills_its_worker() -> None:
    """End the process by a signal."""
    os.kill(os.getpid(), signal.SIGKILL)


def crashes() -> None:
    """Read from an address that is not the process's."""
    ctypes.string_at(0)


def forks() -> None:
    """Fork a child that ends at once."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


forked = False


def forks_and_both_return() -> None:
    """Fork a child, once, that goes on as if it were the worker."""
    global forked
    work()
    if not forked:
        forked = True
        os.fork()


def changes_directory() -> None:
    """Change the working directory, from which relative paths begin."""
    work()
    os.chdir(tempfile.gettempdir())


def removes_directory() -> None:
    """Work in a directory that is gone."""
    work()
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)


def changes_its_process() -> None:
    """Change what a process has one of: signal handlers, the environment, the search path, the switch interval."""
    work()
    with contextlib.suppress(ValueError):  # only the first thread may
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.environ.clear()
    sys.path.clear()
    sys.setswitchinterval(10)


def limits_its_cores() -> None:
    """Limit its thread to one core."""
    work()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def needs_arguments(size: int, text: str) -> str:
    """Return a text, repeated."""
    return text * size


class Words:
    """Words that are counted."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def count(self) -> int:
        """Return a number: a bound method of an object that cannot be pickled."""
        with self.lock:
            return work()

    def __call__(self) -> int:
        """Return the same."""
        return self.count()


bound_method = Words().count
callable_object = Words()
anonymous = lambda: work()  # noqa: E731
partial = functools.partial(needs_arguments, 1000, "ab")
not_callable = 7


def returns_unpicklable() -> threading.Lock:
    """Return what no other process can receive."""
    work()
    return threading.Lock()


leaked: list[bytearray] = []


def leaks() -> None:
    """Keep 2 kB of each call."""
    work()
    leaked.append(bytearray(b"1") * 2000)


def leaves_threads() -> None:
    """Leave threads that go on for a second."""
    work()
    if threading.active_count() < 50:
        threading.Thread(target=time.sleep, args=(1,), daemon=True).start()


def is_a_generator() -> Iterator[int]:
    """Return a generator, which has done nothing yet."""
    yield work()


async def raises_in_event_loop() -> None:
    """Raise in a coroutine."""
    raise ValueError("planted: no such colour")


class Uncooperative:
    """What pickle refuses: an argument for ``needs_arguments``."""

    def __reduce__(self) -> str:
        raise TypeError("planted: not to be pickled")
