"""`bincount` by native threads, against NumPy's."""

import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, Thread
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import parcount as pc
from parcount.engine.threads import TEAM_GRAIN
from tests.arrays.support import INTEGERS, LAYOUTS, assert_same, layouts, outcome
from tests.conftest import Run
from tests.remote import TIME_LIMIT

LEAST = 2 * TEAM_GRAIN
"""Keys from which two threads count."""

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads the threads of a process from /proc")


@given(st.data(), st.sampled_from(INTEGERS), layouts, st.sampled_from([None, 2, 3, 300]))
def test_counts_equal_numpys(data: st.DataObject, dtype: str, layout: str, threads: int | None) -> None:
    size = LEAST + data.draw(st.integers(-1, 7))
    bins = data.draw(st.sampled_from([1, 100, 128, 1024, size // 8, size]))
    x = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, min(bins, np.iinfo(dtype).max + 1), size)
    if data.draw(st.booleans()):
        x[data.draw(st.integers(0, size - 1))] = data.draw(st.sampled_from([-1, 127, 20_000, 1 << 20]))
    x = LAYOUTS[layout](x.astype(dtype))
    minlength = data.draw(st.sampled_from([0, 5, 2000, -1]))
    ours = outcome(pc.bincount, x, minlength=minlength, threads=threads)
    assert_same(
        ours,
        outcome(np.bincount, x.astype(dtype).view(int) if dtype == "uint64" else x.astype(int), minlength=minlength),
    )


@pytest.mark.parametrize("size", [1 << 20, (1 << 21) + 9])
@pytest.mark.parametrize("threads", [None, 2, 7])
def test_large_arrays(size: int, threads: int | None) -> None:
    x = np.arange(size) % 1000
    assert_same(pc.bincount(x, threads=threads), np.bincount(x))


def test_callers_at_once() -> None:
    arrays = [np.random.default_rng(seed).integers(0, 1000, LEAST) for seed in range(4)]
    barrier = Barrier(len(arrays))

    def call(x: Any) -> bool:
        expected = np.bincount(x)
        barrier.wait(TIME_LIMIT)
        return all(np.array_equal(pc.bincount(x, threads=3), expected) for _ in range(100))

    with ThreadPoolExecutor(len(arrays)) as callers:
        assert all(callers.map(call, arrays, timeout=TIME_LIMIT))


def test_keys_that_another_thread_changes_are_each_counted_once() -> None:
    x = np.zeros(LEAST, int)
    done = Event()

    def change() -> None:
        while not done.is_set():
            for key in (0, 1, 3000, -1):
                np.copyto(x, key)

    changer = Thread(target=change)
    changer.start()
    try:
        sums = {getattr(outcome(pc.bincount, x, threads=2), "sum", int)() for _ in range(200)}
    finally:
        done.set()
        changer.join(TIME_LIMIT)
    assert sums <= {0, len(x)}  # zero in place of an error: there was a negative key


PREPARE = f"""
import os, signal, sys, threading, time
import numpy as np
import parcount as pc

x = np.arange({LEAST}) % 1000
expected = np.bincount(x)

def check():
    assert np.array_equal(pc.bincount(x, threads=2), expected)

def tasks():
    return os.listdir("/proc/self/task")

"""

FORK = """
import warnings
warnings.simplefilter("ignore")  # of a fork beside other threads
done = threading.Event()

def count():
    while not done.is_set():
        check()

check()
counting = threading.Thread(target=count)
counting.start()
for _ in range(20):
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        check()
        check()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
done.set()
counting.join()
check()
"""

ONE_CORE = """
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
check()
assert len(tasks()) == 1, tasks()
"""

SIGNALS = """
if len(os.sched_getaffinity(0)) > 1:
    check()
    threads = set(tasks()) - {str(threading.get_native_id())}
    assert len(threads) == 1, threads
    (thread,) = threads
    with open(f"/proc/self/task/{thread}/status") as status:
        (blocked,) = [line.split()[1] for line in status if line.startswith("SigBlk")]
    assert int(blocked, 16) >> signal.SIGINT - 1 & 1
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])
"""

IDLE = """
for _ in range(2):
    check()
    end = time.monotonic() + 30
    while len(tasks()) > 1:
        assert time.monotonic() < end
        time.sleep(0.05)
"""


@linux
@pytest.mark.parametrize(
    "script",
    [FORK, ONE_CORE, SIGNALS, pytest.param(IDLE, marks=pytest.mark.slow)],
    ids=["a forked child has its own", "none on one core", "get no signals", "end when idle"],
)
def test_threads(run_script: Run, script: str) -> None:
    ran = run_script(PREPARE + script, environment={"OPENBLAS_NUM_THREADS": "1"})
    assert (ran.returncode, ran.stderr) == (0, "")
