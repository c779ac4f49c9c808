from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from time import perf_counter

import pytest

from parcount.system.load import Watch, stolen_time, waiting_time

TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def thread(proc: Path, pid: int, tid: int, waited: float) -> None:
    """A thread that has waited so many seconds, as Linux shows it."""
    task = proc / str(pid) / "task" / str(tid)
    task.mkdir(parents=True, exist_ok=True)
    (task / "schedstat").write_text(f"123 {int(waited * 1e9)} 7\n")


def process(proc: Path, pid: int, name: str, parent: int, seconds: float) -> None:
    """A process that has computed so many seconds, as Linux shows it."""
    fields = [str(parent), *["0"] * 9, str(int(seconds * TICKS)), "0"]
    (proc / str(pid)).mkdir(exist_ok=True)
    (proc / str(pid) / "stat").write_text(f"{pid} ({name}) S {' '.join(fields)} 20 0\n")


def test_waiting_is_summed_over_threads_and_processes(tmp_path: Path) -> None:
    thread(tmp_path, 10, 10, 1.5)
    thread(tmp_path, 10, 11, 0.25)
    thread(tmp_path, 20, 20, 0.5)
    thread(tmp_path, 30, 30, 9.0)
    assert waiting_time([10, 20], tmp_path) == pytest.approx(2.25)


def test_processes_that_are_gone_or_tell_nothing_count_nothing(tmp_path: Path) -> None:
    thread(tmp_path, 10, 10, 1.5)
    (tmp_path / "10" / "task" / "10" / "schedstat").write_text("")
    assert waiting_time([10, 99], tmp_path) == 0


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="this system does not tell how long threads wait")
def test_a_thread_with_more_company_than_cores_is_seen_to_wait() -> None:
    burn = "import time\nend = time.perf_counter() + 20\nwhile time.perf_counter() < end: pass"
    cores = len(os.sched_getaffinity(0))
    others = [subprocess.Popen([sys.executable, "-c", burn]) for _ in range(2 * cores)]
    try:
        before, start = waiting_time([os.getpid()]), perf_counter()
        # The scheduler decides when; it cannot leave one of three for a core waiting for nothing for ten seconds.
        while waiting_time([os.getpid()]) - before < 0.01:
            assert perf_counter() - start < 10
    finally:
        for other in others:
            other.kill()
            other.wait()


def test_busy_neighbours_are_named_and_our_own_family_is_not(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text("cpu 0 0 0 0 0 0 0 0\n")
    for pid, name, parent in ((1, "init", 0), (5, "ours", 1), (6, "worker", 5), (7, "burn (1) x", 1), (8, "idle", 1)):
        process(tmp_path, pid, name, parent, 100.0)
    watch = Watch(tmp_path)
    for pid, name, parent in ((5, "ours", 1), (6, "worker", 5), (7, "burn (1) x", 1)):
        process(tmp_path, pid, name, parent, 1000.0)
    process(tmp_path, 9, "newcomer", 1, 500.0)
    names = [(neighbour.name, neighbour.pid) for neighbour in watch.neighbours([5])]
    assert names == [("burn (1) x", 7), ("newcomer", 9)]


def test_what_others_took_is_the_sum_of_them_and_of_the_host(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text("cpu 0 0 0 0 0 0 0 0\n")
    for pid, parent in ((5, 1), (6, 5), (7, 1), (8, 1)):
        process(tmp_path, pid, "any", parent, 0.0)
    watch = Watch(tmp_path)
    assert watch.taken([5]) == 0
    for pid, parent in ((5, 1), (6, 5)):
        process(tmp_path, pid, "any", parent, 1e6)
    assert watch.taken([5]) == 0
    process(tmp_path, 7, "any", 1, 1e6)
    assert watch.taken([5]) > 0
    assert watch.taken([5, 7]) == 0
    (tmp_path / "stat").write_text(f"cpu 0 0 0 0 0 0 0 {int(1e6 * TICKS)}\n")
    assert watch.taken([5, 7]) > 0


def test_stolen_time_is_read_from_the_system(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text("cpu 1 2 3 4 5 6 7 100 0 0\n")
    assert stolen_time(tmp_path) == pytest.approx(100 / TICKS)
    watch = Watch(tmp_path)
    assert watch.stolen() == 0
    (tmp_path / "stat").write_text(f"cpu 1 2 3 4 5 6 7 {100 + 1000 * TICKS} 0 0\n")
    assert watch.stolen() > 1


def test_a_system_that_shows_nothing_has_no_neighbours(tmp_path: Path) -> None:
    watch = Watch(tmp_path / "absent")
    assert watch.neighbours([1]) == []
    assert watch.stolen() == 0
    assert waiting_time([os.getpid()], tmp_path / "absent") == 0


def test_looking_at_the_real_system_finds_this_process() -> None:
    """The parser meets what the kernel really writes; nothing is asserted about who is busy."""
    assert all(neighbour.pid != os.getpid() for neighbour in Watch().neighbours([os.getpid()], least=0.0))
    if Path("/proc/self/stat").exists():
        found = {neighbour.pid for neighbour in Watch().neighbours([], least=0.0)}
        assert os.getpid() in found
        assert threading.get_native_id() in found
