"""Functions of which it is known by construction why they scale or do not, and the files and server that they need.

As a script it measures them in an agent, and prints what threads and processes gain here, with the evidence::

    python tests/studies/scale/planted.py [--python PYTHON] [NAME ...]

Most are a setup and a statement, because their data must be private to each worker. Those that share something with the
other threads are functions of this module, whose globals the threads of one process share.
"""

import argparse
import asyncio
import contextlib
import fcntl
import functools
import hashlib
import itertools
import os
import queue
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from parcount import AtomicCounter

CAUSES = frozenset(
    ["scales", "gil", "lock", "shared-objects", "memory", "waiting", "startup", "serial-part", "machine", "undecided"]
)
PLACE = "PARCOUNT_PLANTED"
"""The environment variable with the folder of the files and of the server's port, which all processes share."""


@dataclass(frozen=True)
class Truth:
    """Which causes are right: one of `first` as the strongest, others of `first` or `beside`, and each of `named`."""

    first: frozenset[str]
    beside: frozenset[str]
    named: frozenset[str]

    def verdict(self, causes: list[str]) -> str:
        """Return ``"right"``, ``"undecided"`` or ``"wrong"`` for the causes that were named, the strongest first."""
        if not causes or causes[0] == "undecided":
            return "undecided"
        possible = self.first | self.beside | {"undecided"}
        return "right" if causes[0] in self.first and self.named <= {*causes} <= possible else "wrong"

    def __str__(self) -> str:
        beside = f" (beside: {', '.join(sorted(self.beside))})" if self.beside else ""
        named = f" (named: {', '.join(sorted(self.named))})" if self.named else ""
        return " or ".join(sorted(self.first)) + beside + named


def truth(first: str, beside: str = "", named: str = "") -> Truth:
    """Return the truth with the causes that the texts have, separated by blanks."""
    result = Truth(frozenset(first.split()), frozenset(beside.split()), frozenset(named.split()))
    assert result.first
    assert result.first | result.beside <= CAUSES
    return result


@dataclass(frozen=True)
class Planted:
    """A function with a known limit.

    `free` is the truth without a GIL; `args` is an expression, as of ``--args``; the measurement may use `cores` cores.
    """

    name: str
    why: str
    gil: Truth
    free: Truth
    statement: str | None = None
    setup: str = ""
    args: str | None = None
    cores: int | None = None

    def truth(self, *, gil: bool, memory: float) -> Truth:
        """Return the truth, where a loop that memory limits gains `memory` times what another one gains."""
        true = self.gil if gil else self.free
        if "memory" not in true.first or memory < 0.6:
            return true
        first = true.first | {"scales"}
        return Truth(first - {"memory"} if memory > 1.0 else first, true.beside | {"memory"}, true.named)

    def words(self) -> tuple[str, str, str | None]:
        """Return the setup, the target and the arguments, as `parcount scale` has them."""
        return self.setup, self.statement or f"{Path(__file__).resolve()}:{self.name}", self.args

    def target(self) -> dict[str, Any]:
        """Return the target as a request to an agent has it."""
        if self.statement is not None:
            return {"kind": "statement", "statement": self.statement, "setup": self.setup}
        return {"kind": "file", "path": str(Path(__file__).resolve()), "name": self.name, "args": self.args}


PLANTED: dict[str, Planted] = {}


def plant(name: str, why: str, gil: Truth, free: Truth | None = None, **form: Any) -> None:
    """Add a function, which is a statement unless this module has a function of this name."""
    assert name not in PLANTED
    PLANTED[name] = Planted(name, why, gil, free or gil, **form)


def planted(gil: Truth, free: Truth | None = None, **form: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the function below, whose docstring says why it has its limit."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        plant(function.__name__, " ".join(str(function.__doc__).split()), gil, free, **form)
        return function

    return add


MB = bytes(2**20)
SCALES, GIL, LOCK, WAITING = truth("scales"), truth("gil"), truth("lock"), truth("waiting")

# Each core works for itself.

plant(
    "sha256_large",
    "hashlib releases the GIL for data of more than 2047 bytes, and a hash object of one call is shared with nobody",
    SCALES,
    setup="import hashlib; data = bytes(2**20)",
    statement="hashlib.sha256(data).digest()",
)
plant(
    "sort_in_cache",
    "np.sort releases the GIL for numbers, and 64 kB and their copy stay in the second-level cache of the core",
    SCALES,
    setup="import numpy; keys = numpy.random.default_rng(1).random(8192)",
    statement="numpy.sort(keys, kind='stable')",
)
plant(
    "zlib_compress",
    "zlib releases the GIL around each deflate, and the compressor and its output belong to one call",
    SCALES,
    setup="import random, zlib; data = random.Random(1).randbytes(2**15)",
    statement="zlib.compress(data)",
)
plant(
    "sqlite_in_memory",
    "sqlite3_step does the whole query without the GIL, and each worker has a connection with a mutex of its own",
    SCALES,
    setup="""
import sqlite3
database = sqlite3.connect(":memory:", check_same_thread=False)
database.execute("create table numbers(n integer)")
database.executemany("insert into numbers values (?)", [(n,) for n in range(20000)])
""",
    statement="database.execute('select sum(n * n % 7) from numbers').fetchone()",
)
# The GIL.

plant(
    "python_loop",
    "bytecode runs with the GIL, and small integers of a loop belong to the thread",
    GIL,
    SCALES,
    statement="""
x = 0
for i in range(10000):
    x += i & 7
""",
)
plant(
    "json_dumps",
    "the C encoder of json makes Python objects with the GIL; without one, the dict is private to the worker",
    GIL,
    truth("scales", "shared-objects"),
    setup="import json; data = {f'key {n}': [n, str(n), n / 7] for n in range(500)}",
    statement="json.dumps(data)",
)
plant(
    "sha256_small",
    "hashlib keeps the GIL for data of up to 2047 bytes; without one, threads count references to OpenSSL's one method",
    GIL,
    truth("scales shared-objects"),
    setup="import hashlib; data = bytes(1000)",
    statement="for _ in range(300): hashlib.sha256(data)",
)
plant(
    "small_arrays",
    "ufuncs keep the GIL for up to 500 elements; without one, threads share the ufunc, its types and its loops",
    GIL,
    truth("scales shared-objects"),
    setup="import numpy; a = numpy.ones(100); b = numpy.ones(100)",
    statement="for _ in range(500): a + b",
)

# A lock of the program's. Each process has one of its own.

lock = threading.Lock()


@planted(LOCK)
def lock_over_hash() -> None:
    """The lock is held all the time while hashlib has released the GIL, so that the other threads sleep."""
    with lock:
        hashlib.sha256(MB)


@planted(LOCK)
def lock_over_most_hash() -> None:
    """Three quarters of the time are under the lock, without the GIL: no number of threads is faster than 4/3."""
    with lock:
        hashlib.sha256(MB)
        hashlib.sha256(MB)
        hashlib.sha256(MB)
    hashlib.sha256(MB)


@planted(truth("lock scales"))
def lock_over_half_hash() -> None:
    """Half of the time is under the lock: two threads that alternate never wait, and more cannot be faster than two."""
    with lock:
        hashlib.sha256(MB)
    hashlib.sha256(MB)


@planted(truth("gil lock"), LOCK)
def lock_over_python() -> None:
    """The lock and the GIL are both held all the time: to remove one of them gains nothing while the other is there."""
    with lock:
        for i in range(10000):
            i & 7


numbers: list[int] = []


@planted(truth("gil", "lock"), truth("lock shared-objects"))
def lock_over_append() -> None:
    """Bytecode and appends have the GIL; without one, threads spin for a short lock, whose cache line moves."""
    for i in range(500):
        with lock:
            numbers.append(i)
    with lock:
        numbers.clear()


tasks: "queue.Queue[int]" = queue.Queue()


@planted(truth("gil", "lock"), truth("lock shared-objects"))
def queue_of_tasks() -> None:
    """A queue.Queue is Python code under one lock: that has the GIL, and without one, threads spin for the lock."""
    for i in range(100):
        tasks.put(i)
        tasks.get()


shared_hash = hashlib.sha256()
shared_hash.update(MB)


@planted(LOCK)
def one_hash_object() -> None:
    """A hash object has a lock, which update() holds without the GIL while it hashes large data."""
    shared_hash.update(MB)


@planted(truth("lock", "waiting"))
def lock_over_sleep() -> None:
    """The lock is held while the thread sleeps: other threads wait for their turn, and processes sleep at once."""
    with lock:
        time.sleep(0.001)


# Objects and cache lines that all threads use. Each process has its own.

private_rows = np.ones((10000, 8))
row = np.zeros(8)


@planted(truth("shared-objects"))
def one_output_row() -> None:
    """The sum releases the GIL and writes one row ten thousand times: one core at a time can have its cache line."""
    np.add.reduce(private_rows, axis=0, out=row)


turn = itertools.count()
line = np.zeros(16)
line = line[-(line.ctypes.data // 8) % 8 :][:8]
pairs = np.ones((10000, 2))
local = threading.local()


@planted(truth("shared-objects"))
def false_sharing() -> None:
    """As `one_output_row`, but each thread has two numbers of its own in the cache line of the others' numbers."""
    if not hasattr(local, "numbers"):
        begin = 2 * next(turn) % 8
        local.numbers = line[begin : begin + 2]
    np.add.reduce(pairs, axis=0, out=local.numbers)


class Counter:
    """An object with an attribute."""

    count = 0


shared_counter = Counter()


@planted(GIL, truth("shared-objects", "lock"))
def counter_attribute() -> None:
    """Without a GIL all threads store to one object, under its lock, and count references to it and to its value."""
    shared_counter.count = 0
    for _ in range(5000):
        shared_counter.count += 1


counts = {"all": 0}


@planted(GIL, truth("shared-objects", "lock"))
def dict_entry() -> None:
    """Without a GIL all threads store to one dict, under its lock, and count references to it and to its value."""
    counts["all"] = 0
    for _ in range(5000):
        counts["all"] += 1


appended: list[int] = []


@planted(GIL, truth("shared-objects lock"))
def append_to_one_list() -> None:
    """Without a GIL all threads take the lock of one list for each append: a lock that belongs to a shared object."""
    for i in range(5000):
        appended.append(i)  # noqa: PERF402
    appended.clear()


floats = [n / 7 for n in range(8)] * 1000


@planted(GIL, truth("shared-objects"))
def read_one_list() -> None:
    """Without a GIL a thread that reads another thread's object counts the reference in the object, atomically."""
    for x in floats:
        x is None  # noqa: B015


atomic = AtomicCounter()


@planted(GIL, truth("shared-objects"))
def atomic_counter() -> None:
    """Methods of the counter keep the GIL; without one, the cache line of the counter and of its references moves."""
    for _ in range(2000):
        atomic.increment()


# The memory, which all cores share, also those of other processes.

plant(
    "sum_of_large_array",
    "np.sum releases the GIL and reads 128 MB over and over, of which the last cache holds little",
    truth("memory"),
    setup="""
import itertools, numpy
parts = itertools.cycle(numpy.ones(2**24).reshape(-1, 2**17))
""",
    statement="next(parts).sum()",
)
plant(
    "add_large_arrays",
    "np.add releases the GIL, reads two and writes one of three arrays of 64 MB, of which the last cache holds little",
    truth("memory"),
    setup="""
import itertools, numpy
parts = itertools.cycle(numpy.ones(2**24).reshape(-1, 2, 2**16))
totals = itertools.cycle(numpy.ones(2**23).reshape(-1, 2**16))
""",
    statement="a, b = next(parts); numpy.add(a, b, out=next(totals))",
)
plant(
    "growing_memory",
    "the kernel clears each new page in a page fault, and the threads of a process share the lock of its address space",
    truth("memory scales shared-objects", "lock"),
    setup="import mmap, numpy; kept = []",
    statement="""
pages = numpy.frombuffer(mmap.mmap(-1, 2**19), dtype=float)
pages.fill(1.0)
kept.append(pages)
if len(kept) > 128:
    kept.clear()
""",
)

# Waiting: no core is needed.

plant(
    "sleep",
    "time.sleep releases the GIL and needs no core",
    WAITING,
    setup="import time",
    statement="time.sleep(0.001)",
)


@planted(WAITING)
async def sleep_in_event_loop() -> None:
    """An event loop sleeps until the first of its coroutines is due, and needs no core."""
    await asyncio.sleep(0.002)


plant(
    "http_fetch",
    "the client waits 2 ms for the server; the rest is Python in the client and in the one process of the server",
    truth("waiting", "gil"),
    truth("waiting", "serial-part"),
    setup=f"""
import http.client, os, pathlib
port = int(pathlib.Path(os.environ[{PLACE!r}], "port").read_text())
connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
""",
    statement="connection.request('GET', '/'); connection.getresponse().read()",
)

# Arguments or results that cost more to send than to compute.


@planted(truth("startup gil", named="startup"), truth("scales", "startup"))
def large_result() -> list[int]:
    """A list of new integers is made with the GIL, and is quicker to make than to pickle, send and unpickle."""
    return list(range(20000))


@planted(truth("startup gil", named="startup"), truth("scales", "startup"), args="([str(n) for n in range(10**5)],)")
def large_argument(texts: list[str]) -> str:
    """To look at each tenth text has the GIL, and is far quicker than to send all of them to a process."""
    return max(texts[::10])


# One at a time in all processes.


@functools.cache
def place() -> Path:
    """Return the folder that all processes share."""
    return Path(os.environ[PLACE])


@planted(truth("serial-part"))
def file_lock() -> None:
    """The system lets one open file of all threads and processes have the lock, and the others sleep."""
    with (place() / "lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        hashlib.sha256(MB)


@functools.cache
def pipe() -> int:
    """Open the pipe that holds one byte: who has read it may go on."""
    return os.open(place() / "token", os.O_RDWR)


@planted(truth("serial-part"))
def semaphore_of_all() -> None:
    """A byte in a named pipe is a semaphore for all threads and processes, held for three quarters of the time."""
    descriptor = pipe()
    os.read(descriptor, 1)
    try:
        for _ in range(3):
            hashlib.sha256(MB)
    finally:
        os.write(descriptor, b"1")
    hashlib.sha256(MB)


plant(
    "sqlite_write_file",
    "SQLite lets one connection of all threads and processes write a file, and the others sleep and ask again",
    truth("serial-part", "waiting"),
    setup=f"""
import os, sqlite3
path = os.path.join(os.environ[{PLACE!r}], "written.sqlite")
database = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
database.execute("pragma synchronous=off")
""",
    statement="""
database.execute("begin immediate")
database.execute("update numbers set n = n + 1")
database.execute("commit")
""",
)

# One core for everything.

for name in ("sha256_large", "python_loop"):
    plant(
        f"{name}_on_one_core",
        "no execution can use a second core",
        truth("machine", "gil"),
        setup=PLANTED[name].setup,
        statement=PLANTED[name].statement,
        cores=1,
    )
# Mixtures.

plant(
    "half_python_half_hash",
    "half of the time has the GIL: two threads that alternate need not wait, and more cannot be faster than two",
    truth("gil scales"),
    SCALES,
    setup="import hashlib; data = bytes(2**20)",
    statement="""
hashlib.sha256(data)
for i in range(28000):
    i & 7
""",
)
plant(
    "mostly_python_and_hash",
    "three quarters of the time have the GIL, so that no number of threads is faster than 4/3",
    GIL,
    SCALES,
    setup="import hashlib; data = bytes(2**20)",
    statement="""
hashlib.sha256(data)
for i in range(85000):
    i & 7
""",
)
plant(
    "sleep_and_python",
    "about half of the time a worker sleeps, and in the other half it has the GIL, which two or three threads fill",
    truth("waiting gil"),
    WAITING,
    setup="import time",
    statement="""
time.sleep(0.001)
for i in range(40000):
    i & 7
""",
)


@planted(truth("serial-part", "gil"), truth("serial-part"))
def file_lock_over_python() -> None:
    """All of it has the lock of the file, which stops processes too, and the GIL in threads."""
    with (place() / "lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for i in range(10000):
            i & 7


# What surrounds them.

SERVER = """
import asyncio, sys

async def answer(reader, writer):
    try:
        while await reader.readuntil(b"\\r\\n\\r\\n"):
            await asyncio.sleep(0.002)
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()

async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=100)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


@contextlib.contextmanager
def surroundings() -> Iterator[Path]:
    """Provide the files and the server's process that functions need, and name their folder in the environment."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        path = Path(folder)
        (path / "lock").touch()
        for name in ("numbers", "written"):
            with contextlib.closing(sqlite3.connect(path / f"{name}.sqlite")) as database, database:
                database.execute("create table numbers(n integer)")
                database.executemany(
                    "insert into numbers values (?)", [(n,) for n in range(20000 if name == "numbers" else 2000)]
                )
        os.mkfifo(path / "token")
        descriptor = os.open(path / "token", os.O_RDWR)  # the byte is in the pipe as long as somebody has it open
        stack.callback(os.close, descriptor)
        os.write(descriptor, b"1")
        server = stack.enter_context(
            subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
        )
        stack.callback(server.kill)
        (path / "port").write_text(server.stdout.readline())
        os.environ[PLACE] = folder
        stack.callback(os.environ.pop, PLACE)
        yield path


@contextlib.contextmanager
def limited_cores(cores: int | None) -> Iterator[None]:
    """Limit this thread, and the processes that it starts, to so many cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:cores])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


# The script.


EXECUTIONS = "serial", "threads", "processes"
Evidence = dict[str, dict[str, float]]
"""For each execution: medians of the rate and of the CPU time of a call, both divided by serial's, and shares."""


def measure(target: dict[str, Any], python: str = sys.executable, workers: int = 2, rounds: int = 3) -> Evidence:
    """Run a target, in the form of a request to an agent, in rounds of all executions."""
    from parcount.studies.scale.agent import clock
    from parcount.studies.scale.agent_process import AgentProcess

    with contextlib.ExitStack() as stack:
        agents = [stack.enter_context(AgentProcess([python])) for _ in range(workers)]
        for agent in agents:
            agent.ask({"do": "load", "target": target}, 60)
            call = agent.ask({"do": "calibrate", "seconds": 0.1}, 60)
        samples: dict[str, list[dict[str, float]]] = {execution: [] for execution in EXECUTIONS}
        serial: dict[str, float] = {}
        for execution in EXECUTIONS * rounds:
            these = agents if execution == "processes" else agents[:1]
            request = {"do": "run", "execution": "threads" if execution == "threads" else "serial", "probe": True}
            request |= {"workers": workers, "batch": call["batch"], "seconds": 0.15, "at": clock() + 0.05}
            for agent in these:
                agent.send(request)
            answers = [agent.receive(60) for agent in these]
            calls, busy, cpu, ready = (
                np.concatenate([answer[name] for answer in answers]) for name in ("calls", "busy", "cpu", "ready")
            )
            gil = answers[0]["gil"]
            sample = {"rate": sum(calls / busy), "CPU": sum(cpu) / sum(calls), "idle": 1 - sum(cpu + ready) / sum(busy)}
            sample |= {"ready": sum(ready) / sum(busy), "GIL": gil["held"] / max(1, gil["probes"]) if gil else 0.0}
            serial = sample if execution == "serial" else serial
            samples[execution].append(sample | {name: sample[name] / serial[name] for name in ("rate", "CPU")})
    return {
        execution: {name: statistics.median(row[name] for row in rows) for name in rows[0]} | {"call": call["call"]}
        for execution, rows in samples.items()
    }


def main() -> None:
    """Measure functions and print what is known of them."""
    parser = argparse.ArgumentParser(description="Measure functions with threads and processes.")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("names", nargs="*", metavar="NAME", default=PLANTED)
    options = parser.parse_args()
    code = "import sys; print(int(getattr(sys, '_is_gil_enabled', lambda: True)()))"
    gil = subprocess.check_output([options.python, "-c", code], text=True) == "1\n"
    with surroundings():
        for name in options.names:
            one = PLANTED[name]
            with limited_cores(one.cores):
                found = measure(one.target(), options.python)
            print(f"{name}: {one.truth(gil=gil, memory=0)}; {1000 * found['serial']['call']:.3f} ms")
            for execution, row in found.items():
                shares = ", ".join(f"{share} {row[share]:4.0%}" for share in ("idle", "ready", "GIL"))
                print(f"    {execution:10}{row['rate']:6.2f}x, CPU per call {row['CPU']:.2f}x, {shares}", flush=True)


if __name__ == "__main__":
    main()
