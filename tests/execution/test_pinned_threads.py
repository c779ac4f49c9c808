"""Threads that stay."""

import os
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, get_ident

import pytest

import parcount as pc
from parcount.execution.pinned_threads import PinnedThreads, pinned_threads
from parcount.system.cores import allowed_cores
from tests.conftest import Run
from tests.remote import TIME_LIMIT


@pytest.mark.skipif(not allowed_cores(), reason="this system does not tell a thread's cores")
def test_workers_share_no_core_and_the_caller_keeps_its_own() -> None:
    before = allowed_cores()
    workers = min(3, len(before))
    barrier = Barrier(workers)

    def where(_: int) -> frozenset[int]:
        barrier.wait(TIME_LIMIT)
        return allowed_cores()

    places = pinned_threads(workers).map(where, range(workers))
    assert sum(len(place) for place in places) == len(frozenset().union(*places)) == len(before)
    assert allowed_cores() == before


@pytest.mark.skipif(not allowed_cores(), reason="this system does not tell a thread's cores")
def test_greenlets_in_place_of_threads_are_not_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    before = allowed_cores()
    monkeypatch.setattr("parcount.execution.pinned_threads.get_native_id", lambda: 1)
    with PinnedThreads(len(before)) as threads:
        assert set(threads.map(lambda _: allowed_cores(), range(len(before)))) == {before}


def test_one_thread_is_the_caller() -> None:
    assert type(pinned_threads(1)) is pc.Serial


@pytest.mark.parametrize("threads", [True, 1.0, 2.0, "2"])
def test_other_types_than_integers_raise(threads: int) -> None:
    pinned_threads(2)
    with pytest.raises(TypeError, match="must be an integer"):
        pinned_threads(threads)


def test_stay_for_the_next_call() -> None:
    assert pinned_threads(2) is pinned_threads(2)
    idents = {ident for _ in range(20) for ident in pinned_threads(3).map(lambda _: get_ident(), range(30))}
    assert len(idents) <= 3


def test_serve_many_callers_at_once() -> None:
    barrier = Barrier(8)

    def call(caller: int) -> bool:
        barrier.wait(TIME_LIMIT)
        return all(pinned_threads(2).map(abs, [-caller, caller]) == [caller, caller] for _ in range(200))

    with ThreadPoolExecutor(8) as callers:
        assert all(callers.map(call, range(8), timeout=TIME_LIMIT))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_forms_its_own(run_script: Run) -> None:
    done = run_script(FORKS)
    assert done.returncode == 0, done.stderr


FORKS = """
import os, signal, sys
from parcount.execution.pinned_threads import pinned_threads

assert pinned_threads(2).map(abs, [-1, 1]) == [1, 1]
child = os.fork()
if child == 0:
    signal.alarm(20)  # it would wait for threads that it has not
    os._exit(0 if pinned_threads(2).map(abs, [-1, 1]) == [1, 1] else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


CALL = """
import threading
import numpy as np
import parcount as pc

def check():
    keys = np.arange(1_000_000) % 7
    counts = np.zeros(7, np.int64)
    pc.add_at(counts, keys, 1, threads=2)
    assert np.array_equal(counts, np.bincount(keys))
    assert np.array_equal(pc.bincount(keys, threads=2), counts)
    print("counted")
"""

AFTER_THE_MAIN_THREAD = """
def wait():
    threading.main_thread().join()
    check()

threading.Thread(target=wait).start()
"""

AT_EXIT = """
import atexit
atexit.register(check)
"""

NO_THREADS = """
def refuse(*arguments, **keywords):
    raise RuntimeError("can't start new thread")

threading._start_new_thread = threading._start_joinable_thread = refuse
check()
"""


@pytest.mark.parametrize("used_before", [False, True])
@pytest.mark.parametrize("script", [AFTER_THE_MAIN_THREAD, AT_EXIT, NO_THREADS], ids=["main ended", "atexit", "none"])
def test_array_functions_work_where_no_thread_can_be_started(run_script: Run, script: str, used_before: bool) -> None:
    ran = run_script(CALL + "check()\n" * used_before + script)
    assert ran.stdout.splitlines() == ["counted"] * (1 + used_before), ran.stderr
    assert (ran.returncode, ran.stderr) == (0, "")


def test_zero_threads_are_refused_by_that_name() -> None:
    with pytest.raises(ValueError, match="threads must be at least 1, not 0"):
        pinned_threads(0)
