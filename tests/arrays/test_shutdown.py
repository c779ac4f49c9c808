"""Array functions where no thread can be started: while Python ends, and at the system's limit of processes."""

import sys

import pytest

from tests.conftest import GIL, Run

CALLS = """
import os, sys
import numpy as np
import parcount as pc

keys = np.arange(400_000) % 50
ones = np.ones(len(keys))
expected = np.bincount(keys)
arrays = np.zeros((2, 50), int)

def count(how):
    np.copyto(arrays, 0)
    pc.add_at(arrays[0], keys, threads=2)
    pc.increment(arrays[1], arrays[0], threads=2)
    return [
        pc.bincount(keys, **how), pc.bincount(keys, ones, **how),
        pc.histogram(keys, 50, **how)[0], pc.histogram2d(keys, keys, 50, **how)[0].diagonal(),
        pc.histogramdd([keys], 50, **how)[0], pc.unique_counts(keys, **how).counts, *arrays,
    ]

def check(how):
    results = count(how)
    return len(results) == 8 and all((result == expected).all() for result in results)

CHOICES = {"threads": {"threads": 2}, "on": {"on": pc.Threads(2)}}
"""

LATE = """
class Late:
    def __init__(self, how, used_before):
        self.check, self.how, self.write = check, how, os.write
        assert not used_before or check(how)
        assert check({"threads": 1})  # NumPy imports at the first use of some functions

    def __del__(self):
        self.write(1, b"counted" if self.check(self.how) else b"wrong")

"""

LIMIT = """
import resource, threading
assert check({"threads": 3})  # imports what the other user may not read
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
if not os.getuid():
    os.setuid(65534)  # the limit does not hold for root
try:
    threading.Thread(target=print).start()
except RuntimeError:
    print(all(check(how) for how in CHOICES.values()))
    try:
        pc.bincount(keys, on=pc.Threads(2, initializer=abs, initargs=(1,)))
    except RuntimeError as error:
        print(error)
else:
    print("no limit")
"""


@pytest.mark.skipif(not GIL, reason="a free-threaded Python clears NumPy's modules before it finalizes the object")
@pytest.mark.parametrize("used_before", [False, True])
@pytest.mark.parametrize("how", ["threads", "on"])
def test_a_late_finalizer_counts(run_script: Run, how: str, used_before: bool) -> None:
    ran = run_script(f"{CALLS}{LATE}_late = Late(CHOICES[{how!r}], {used_before})")  # with _, it is cleared first
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "counted", "")


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
def test_a_process_at_the_limit_counts_in_the_calling_thread(run_script: Run) -> None:
    ran = run_script(CALLS + LIMIT)
    if ran.stdout == "no limit\n":
        pytest.skip("this system does not enforce the limit")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "True\ncan't start new thread\n", "")
