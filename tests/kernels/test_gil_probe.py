"""The probe's share of time in which the GIL is held, against what the thread that holds it measures itself."""

import hashlib
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from threading import Barrier, Thread

import numpy as np
import pytest

from parcount._native import gil_probe, increment
from tests.conftest import GIL, Run
from tests.plain import TIME_LIMIT, until

pytestmark = pytest.mark.thread_unsafe(reason="other threads hold the GIL")
needs_gil = pytest.mark.skipif(not GIL, reason="there is no GIL to hold")

SECONDS = 0.2
TRIES = 20
"""On a busy machine, the probe or the holder can be without a core for much of one measurement, but not of all."""


def compute(seconds: float) -> float:
    """Compute in Python, and return the time it took."""
    start = now = time.perf_counter()
    while now < start + seconds:
        now = time.perf_counter()
    return now - start


def hold_in_c(seconds: float) -> float:
    """Hold the GIL in calls that do not give it back, and return the time they took."""
    cells = np.zeros(1 << 20, np.int64)
    start = now = time.perf_counter()
    while now < start + seconds:
        increment.held(cells)
        now = time.perf_counter()
    return now - start


def hash_without_gil(seconds: float) -> float:
    """Compute with the GIL released nearly always."""
    data, end = bytes(1_000_000), time.perf_counter() + seconds
    while time.perf_counter() < end:
        hashlib.sha256(data)
    return 0.0


def wait(seconds: float) -> float:
    time.sleep(seconds)
    return 0.0


def alternate(held: float, released: float) -> Callable[[float], float]:
    """Compute and sleep by turns."""

    def run(seconds: float) -> float:
        end, total = time.perf_counter() + seconds, 0.0
        while time.perf_counter() < end:
            total += compute(held)
            time.sleep(released)
        return total

    return run


def together(work: Callable[[float], float]) -> Callable[[float], float]:
    """Work in three threads: on two cores, the probe too is at times without one."""

    def run(seconds: float) -> float:
        start = time.perf_counter()
        workers = [Thread(target=work, args=(seconds,)) for _ in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(TIME_LIMIT)
        return time.perf_counter() - start if work is compute else 0.0

    return run


def error(work: Callable[[float], float], seed: int) -> float:
    """The difference between the probe's share and that of the time which the work returns."""
    probe = gil_probe.start(interval=0.001, seed=seed)
    start = time.perf_counter()
    held_for = work(SECONDS)
    elapsed = time.perf_counter() - start
    probes, held, waited, longest = gil_probe.stop(probe)
    assert 0 <= held <= probes
    assert 0 <= longest <= waited <= time.perf_counter() - start
    return abs(held / probes - held_for / elapsed) if probes else math.inf


@needs_gil
class TestShare:
    @pytest.mark.parametrize("work", [compute, hold_in_c, together(compute)], ids=["python", "c", "python, threads"])
    def test_held_always(self, work: Callable[[float], float]) -> None:
        assert any(error(work, seed) < 0.05 for seed in range(TRIES))

    @pytest.mark.parametrize(
        "work", [hash_without_gil, wait, together(hash_without_gil)], ids=["hashlib", "sleep", "hashlib, threads"]
    )
    def test_held_never(self, work: Callable[[float], float]) -> None:
        assert any(error(work, seed) < 0.05 for seed in range(TRIES))

    # Periods that are shorter, equal to and longer than the switch interval, at which a waiting probe gets the GIL.
    @pytest.mark.parametrize(("held", "released"), [(0.003, 0.003), (0.005, 0.005), (0.02, 0.02), (0.015, 0.005)])
    def test_held_periodically(self, held: float, released: float) -> None:
        assert any(error(alternate(held, released), seed) < 0.1 for seed in range(TRIES))


@pytest.fixture
def endless_switch_interval() -> Iterator[None]:
    """A thread keeps the GIL until it gives it away by itself."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    yield
    sys.setswitchinterval(interval)


@needs_gil
def test_requests_that_are_due_while_another_one_waits_are_counted(endless_switch_interval: None) -> None:
    def seen() -> bool:
        probe = gil_probe.start(interval=0.001)
        held_for = compute(0.1)  # one request waits all the time
        _, held, _, longest = gil_probe.stop(probe)
        return held >= 30 and longest >= held_for / 2

    until(seen, "the probe did not see that the GIL was held")


def running() -> list[Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "parcount GIL probe"]


class TestHandles:
    def test_the_gil_is_reported(self) -> None:
        assert gil_probe.gil_enabled() == GIL

    @pytest.mark.timeout(20)
    def test_stopping_wakes_the_probe(self) -> None:
        probe = gil_probe.start(interval=60, seed=3)
        assert len(running()) == 1
        assert gil_probe.stop(probe) == (0, 0, 0.0, 0.0)
        assert not running()

    def test_no_request_is_made_during_the_delay(self) -> None:
        late, early = gil_probe.start(interval=1e-5, delay=TIME_LIMIT), gil_probe.start(interval=1e-5)
        time.sleep(0.02)
        assert gil_probe.stop(early)[0] > 0
        assert gil_probe.stop(late)[0] == 0

    def test_probes_are_independent(self) -> None:
        rare, frequent = gil_probe.start(interval=60, seed=3), gil_probe.start(interval=1e-5)
        time.sleep(0.05)
        assert gil_probe.stop(frequent)[0] > 0
        assert gil_probe.stop(rare)[0] == 0

    def test_stopping_twice_returns_the_same(self) -> None:
        probe = gil_probe.start(interval=1e-5)
        time.sleep(0.01)
        seen = gil_probe.stop(probe)
        compute(0.01)
        assert gil_probe.stop(probe) == seen

    def test_several_threads_stop_it(self) -> None:
        probe, barrier, seen = gil_probe.start(interval=1e-4), Barrier(4), []

        def stop() -> None:
            barrier.wait(TIME_LIMIT)
            seen.append(gil_probe.stop(probe))

        threads = [Thread(target=stop) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIME_LIMIT)
        assert seen == [gil_probe.stop(probe)] * 4

    @pytest.mark.parametrize("interval", [0, -1, 1e-6, 61, math.inf, math.nan])
    def test_intervals_out_of_range(self, interval: float) -> None:
        with pytest.raises(ValueError, match="interval must be from 10 microseconds to 60 seconds"):
            gil_probe.start(interval=interval)

    @pytest.mark.parametrize("delay", [-1, 3601, math.nan])
    def test_delays_out_of_range(self, delay: float) -> None:
        with pytest.raises(ValueError, match="delay must be from 0 to 3600 seconds"):
            gil_probe.start(delay=delay)

    def test_other_arguments(self) -> None:
        with pytest.raises(OverflowError):
            gil_probe.start(seed=-1)
        with pytest.raises(TypeError):
            gil_probe.stop(None)


# A probe that is started after the function that stops them at exit has run is ended by the interpreter.
@pytest.mark.parametrize("unregistered", ["", "import atexit; atexit.unregister(gil_probe.stop_all)\n"])
@pytest.mark.parametrize("interval", [60, 1e-5])
def test_the_interpreter_ends_while_probes_run(interval: float, unregistered: str, run_script: Run) -> None:
    source = f"from parcount._native import gil_probe\n{unregistered}"
    ran = run_script(source + f"probes = [gil_probe.start({interval}, seed) for seed in range(5)]\n")
    assert (ran.returncode, ran.stderr) == (0, "")


FORK = """
import os, time, warnings
from parcount._native import gil_probe

warnings.simplefilter("ignore", DeprecationWarning)  # there are threads, and the child calls no function of theirs
probe = gil_probe.start(1e-4)
time.sleep(0.01)
if not (child := os.fork()):
    probes, *_ = gil_probe.stop(probe)  # the thread is not in the child
    own = gil_probe.start(1e-4)
    time.sleep(0.01)
    os._exit(10 if probes and gil_probe.stop(own)[0] else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), gil_probe.stop(probe)[0] > 0)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_a_forked_child_stops_and_starts_probes(run_script: Run) -> None:
    ran = run_script(FORK)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "10 True\n", "")
