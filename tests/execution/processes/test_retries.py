"""Workers that die, and what becomes of their items: tried again, exactly, in order; or `WorkerDied`."""

import math
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from time import perf_counter
from typing import Any

import numpy as np
import pytest

import parcount as pc
from parcount.engine.run import Clock, run
from parcount.execution.processes import serialisation
from parcount.execution.processes.execution import Processes
from parcount.kernels import WORKLOADS
from tests import plain, remote
from tests.execution.executions import TRANSPORTED
from tests.remote import TIME_LIMIT

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.usefixtures("nothing_is_left"),
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to kill a process with"),
]

LARGE = serialisation.SHARED_COPY_MIN_BYTES // 4
"""Elements of an array of int64 that crosses by shared memory."""


@pytest.fixture(scope="module", params=TRANSPORTED)
def pool(request: pytest.FixtureRequest) -> Iterator[pc.Processes]:
    with pc.Processes(2, **request.param) as pool:
        yield pool


@pytest.mark.parametrize(("times", "victim"), [(1, 0), (2, 5), (1, 9)])
def test_an_item_whose_worker_is_killed_is_tried_again(pool: pc.Processes, times: int, victim: int) -> None:
    tried = pc.shared_array(10)
    assert pool.map(remote.DieAtFirst(tried, victim, times), range(10), chunksize=1) == list(range(10))
    assert tried[victim] == times + 1
    assert tried.sum() == 10 + times  # no other was begun twice


def test_after_the_last_retry(pool: pc.Processes) -> None:
    tried = pc.shared_array(6)
    with pytest.raises(pc.WorkerDied, match="item 3 was killed by SIGKILL, at the last of 3 tries") as caught:
        pool.map(remote.DieAtFirst(tried, 3, 3), range(6))
    assert (caught.value.part, caught.value.exitcode, caught.value.tries) == (3, -signal.SIGKILL, 3)
    assert tried[3] == 3
    assert pool.map(abs, [-1, -2]) == [1, 2]


def test_one_that_exits_by_itself_is_tried_again_too(pool: pc.Processes) -> None:
    with pytest.raises(pc.WorkerDied, match="item 0 ended with exit code 7, at the last of 3 tries") as caught:
        pool.map(remote.exit_at_once, [7])
    assert (caught.value.exitcode, caught.value.tries) == (7, 3)


def test_an_exception_is_not(pool: pc.Processes) -> None:
    tried = pc.shared_array(2)
    with pytest.raises(ValueError, match="1 is odd"):
        pool.map(remote.DieAtFirst(tried, 1, 1, plain.fail_on_odd), range(2))
    assert tried.tolist() == [1, 1]


def test_the_others_go_on_with_theirs(pool: pc.Processes) -> None:
    pool.map(abs, [-1])
    before = set(pool.pids())
    tried = pc.shared_array(2)
    _, other = pool.map(remote.AfterTheDeath(tried), range(2))
    assert tried.tolist() == [2, 1]
    assert other in before
    assert other in pool.pids()


def test_one_that_dies_while_idle_costs_nothing() -> None:
    with pc.Processes(2, retries=0) as pool:
        for call in (lambda: pool.map(abs, [-1, -2]), lambda: pool.together(abs, [-1, -2])[0]):
            victims = pool.pids()
            for victim in victims:
                os.kill(victim, signal.SIGKILL)
                remote.until(lambda victim=victim: not remote.is_alive(victim), "the signal did not arrive")
            assert call() == [1, 2]
            assert not set(pool.pids()) & set(victims)


def test_an_array_is_sent_again_as_it_was(pool: pc.Processes) -> None:
    # The worker that died has counted in its copy.
    assert pool.map(remote.CountUpAndDie(pc.shared_array(1)), [np.zeros(LARGE, np.int64)]) == [(1, 1)]


stops = pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system does not stop processes")


@pytest.fixture(scope="module")
def hasty() -> Iterator[pc.Processes]:
    with pc.Processes(2, timeout=0.5, retries=1) as pool:
        yield pool


class TestTimeout:
    @pytest.mark.parametrize("call", ["map", "together"])
    def test_an_item_that_exceeds_it_is_tried_again(self, hasty: pc.Processes, call: str) -> None:
        work = remote.DieAtFirst(pc.shared_array(2), 1, 1, remote.hang)
        results = getattr(hasty, call)(work, range(2))
        assert (results if call == "map" else results[0]) == [0, 1]

    @pytest.mark.parametrize("call", ["map", "together"])
    def test_worker_died_is_raised_after_the_last_try(self, hasty: pc.Processes, call: str) -> None:
        with pytest.raises(
            pc.WorkerDied, match=r"item 1 was ended at the timeout of 0\.5 s, at the last of 2"
        ) as caught:
            getattr(hasty, call)(remote.DieAtFirst(pc.shared_array(2), 1, 9, remote.hang), range(2))
        assert (caught.value.part, caught.value.tries, caught.value.timeout) == (1, 2, 0.5)

    @pytest.mark.parametrize("call", ["map", "together"])
    @pytest.mark.parametrize("idempotent", [True, False])
    def test_an_item_that_takes_too_long_to_arrive_has_been_tried(
        self, hasty: pc.Processes, call: str, idempotent: bool
    ) -> None:
        with pytest.raises(pc.WorkerDied, match=r"was ended at the timeout of 0\.5 s, at the last of 2") as caught:
            getattr(hasty, call)(remote.echo, [remote.HangsOnArrival()], idempotent=idempotent)
        assert (caught.value.part, caught.value.tries) == (0, 2)

    @stops
    @pytest.mark.parametrize("transport", ["pipe", "pickle", "queue"])
    def test_it_holds_while_an_array_is_sent(self, transport: Any) -> None:
        with pc.Processes(1, timeout=0.5, retries=0, transport=transport) as pool:
            (pid,) = pool.map(remote.pid, [0])
            os.kill(pid, signal.SIGSTOP)
            with pytest.raises(pc.WorkerDied, match=r"item 0 was ended at the timeout of 0\.5 s"):
                pool.map(np.sum, [np.ones(4_000_000)])
            assert pool.map(abs, [-1]) == [1]

    @stops
    @pytest.mark.parametrize("transport", ["pipe", "pickle", "queue"])
    def test_it_holds_while_an_array_is_received(self, transport: Any) -> None:
        with pc.Processes(1, timeout=0.5, retries=0, transport=transport) as pool:
            with pytest.raises(pc.WorkerDied, match=r"item 0 was ended at the timeout of 0\.5 s"):
                pool.map(remote.stop_halfway, [4_000_000])
            assert pool.map(abs, [-1]) == [1]

    @stops
    def test_it_holds_for_the_initializer(self) -> None:
        pool = pc.Processes(1, timeout=0.1, initializer=remote.stop, initargs=(np.ones(4_000_000),))
        with pytest.raises(pc.WorkerDied, match=r"was ended at the timeout of 0\.1 s before its first item"):
            pool.map(abs, [-1])

    @pytest.mark.parametrize("timeout", [math.inf, 1e12, np.float32(20)])
    def test_positive_numbers_are_accepted(self, timeout: float) -> None:
        assert pc.Processes(1, timeout=timeout).map(abs, [-1]) == [1]

    @pytest.mark.parametrize("timeout", [0, -1, -0.5, math.nan])
    def test_numbers_that_are_not_positive_raise_value_error(self, timeout: float) -> None:
        with pytest.raises(ValueError, match="timeout must be more than 0 seconds"):
            pc.Processes(1, timeout=timeout)

    @pytest.mark.parametrize("timeout", [True, False, "1", [1], 1j])
    def test_other_types_raise_type_error(self, timeout: Any) -> None:
        with pytest.raises(TypeError, match="timeout must be a number of seconds"):
            pc.Processes(1, timeout=timeout)


@pytest.mark.parametrize(
    ("retries", "error"), [(-1, ValueError), (True, TypeError), (1.0, TypeError), ("1", TypeError)]
)
def test_retries_that_make_no_sense_are_refused(retries: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="retries must be"):
        pc.Processes(1, retries=retries)


def test_starts_that_are_killed_end_at_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parcount.execution.processes.supervisor.serve", remote.kill_instead)
    with pytest.raises(pc.WorkerDied, match="killed by SIGKILL before its first item, at the last of 5") as caught:
        pc.Processes(1).map(abs, [-1])
    assert caught.value.part is None


def test_a_start_that_is_interrupted_is_tried_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("parcount.execution.processes.supervisor.serve", remote.InterruptedOnce(tmp_path / "started"))
    assert pc.Processes(1).map(abs, [-1]) == [1]
    assert (tmp_path / "started").exists()


class TestTogether:
    def test_all_begin_again_on_new_workers(self, pool: pc.Processes) -> None:
        pool.map(abs, [-1])
        before = pool.pids()
        called = perf_counter()
        results, opened = pool.together(remote.DieAtFirst(pc.shared_array(2), 1, 2), range(2))
        assert results == [0, 1]
        assert called < opened < perf_counter()
        assert not set(pool.pids()) & set(before)

    def test_after_the_last_retry(self, pool: pc.Processes) -> None:
        with pytest.raises(pc.WorkerDied, match="item 1 was killed by SIGKILL, at the last of 3 tries") as caught:
            pool.together(remote.DieAtFirst(pc.shared_array(2), 1, 3), range(2))
        assert caught.value.tries == 3


class TestOnce:
    """What must not be begun twice."""

    @pytest.mark.parametrize("call", ["map", "together"])
    def test_a_death_is_an_error_at_once(self, pool: pc.Processes, call: str) -> None:
        tried = pc.shared_array(2)
        with pytest.raises(pc.WorkerDied, match="item 1 was killed by SIGKILL") as caught:
            getattr(pool, call)(remote.DieAtFirst(tried, 1, 1), range(2), idempotent=False)
        assert caught.value.tries == 1
        assert tried[1] == 1

    @pytest.mark.parametrize("call", ["map", "together"])
    def test_none_is_begun_twice(self, pool: pc.Processes, call: str) -> None:
        tried = pc.shared_array(2)
        getattr(pool, call)(remote.DieAtFirst(tried, 1, 0), range(2), idempotent=False)
        assert tried.tolist() == [1, 1]

    @pytest.mark.parametrize("clock", [None, Clock()])
    def test_counting_in_place_is_such_a_thing(self, pool: pc.Processes, clock: Clock | None) -> None:
        job = WORKLOADS["increment"].make(100)
        with pytest.raises(pc.WorkerDied, match="ended with exit code 5") as caught:
            run(job, remote.increment_and_die, pool, clock)
        assert caught.value.tries == 1

    @pytest.mark.parametrize("make", [lambda: pc.Serial(), lambda: pc.Threads(2)])
    @pytest.mark.parametrize("call", ["map", "together"])
    def test_is_always_so_where_nobody_dies(self, make: Callable[[], pc.Execution], call: str) -> None:
        results = getattr(make(), call)(abs, [-1], idempotent=False)
        assert (results if call == "map" else results[0]) == [1]


@pytest.mark.parametrize("name", ["imap", "imap_unordered"])
def test_a_stream_tries_again_too(pool: pc.Processes, name: str) -> None:
    results = getattr(pool, name)(remote.DieAtFirst(pc.shared_array(20), 3, 2), range(20))
    assert sorted(results) == list(range(20))


@pytest.mark.parametrize("name", ["imap", "imap_unordered"])
def test_an_abandoned_item_is_ended_with_its_worker(pool: pc.Processes, name: str) -> None:
    results = getattr(pool, name)(remote.DieAtFirst(pc.shared_array(9), 1, 1, remote.hang), iter(range(9)))
    assert next(results) == 0
    before = pool.pids()
    results.close()
    stayed = pool.pids()
    assert len(stayed) < 2
    assert not any(map(remote.is_alive, set(before) - set(stayed)))
    assert pool.together(abs, [-1, -2])[0] == [1, 2]


def test_a_call_beside_an_unfinished_stream_is_refused(pool: pc.Processes) -> None:
    results = pool.imap(abs, range(9))
    assert next(results) == 0
    with pytest.raises(RuntimeError, match="busy with another call of this thread"):
        pool.map(abs, [-1])
    assert list(results) == list(range(1, 9))
    assert pool.map(abs, [-1]) == [1]


def test_calls_from_several_threads_take_turns(pool: pc.Processes) -> None:
    pool.together(abs, [-1, -2])  # workers are not forked where other threads run
    with pc.Threads(4) as threads:
        assert threads.map(lambda x: pool.map(abs, [-x] * 5), range(12)) == [[x] * 5 for x in range(12)]


class Killer(Thread):
    """Kills, once a round, a worker picked at random, at a random instant of the round."""

    def __init__(self, pool: Processes, seed: int) -> None:
        super().__init__(name="killer", daemon=True)
        self.pool = pool
        self.chance = random.Random(seed)
        self.longest = 0.0
        self.kills = 0
        self.begin, self.killed = Event(), Event()

    def round(self, longest: float) -> None:
        self.longest = longest
        self.killed.clear()
        self.begin.set()

    def run(self) -> None:
        while self.begin.wait(TIME_LIMIT):
            self.begin.clear()
            if self.longest < 0:
                return
            Event().wait(self.chance.uniform(0, self.longest))  # which instant, not what it waits for
            while not self.killed.is_set():
                with suppress(ProcessLookupError, IndexError, ValueError):
                    os.kill(self.chance.choice(self.pool.pids()), signal.SIGKILL)
                    self.kills += 1
                    self.killed.set()


@pytest.mark.parametrize(
    ("options", "kills", "size"),
    [
        pytest.param({}, 100, 50_000_000, marks=pytest.mark.slow),
        ({}, 10, 5_000_000),
        pytest.param({"transport": "queue", "threads": 2}, 20, 5_000_000, marks=pytest.mark.slow),
        ({"transport": "queue", "threads": 2}, 3, 5_000_000),
        pytest.param({"transport": "shared_memory", "start_method": "spawn"}, 5, 1_000_000, marks=pytest.mark.slow),
    ],
)
def test_bincount_stays_exact_while_workers_are_killed(options: dict[str, Any], kills: int, size: int) -> None:
    """A hundred kills and results, of one byte a key: that is what makes 50 million of them quick to count."""
    keys = pc.shared_array(size, np.uint8)
    keys[:] = np.random.default_rng(1).integers(0, 256, size, np.uint8)
    exact = pc.bincount(keys, threads=1)
    assert exact.sum() == size
    with Processes(2, **options) as pool:
        pc.bincount(keys, on=pool)
        begun = perf_counter()
        assert np.array_equal(pc.bincount(keys, on=pool), exact)
        usual = perf_counter() - begun
        killer = Killer(pool, seed=2)
        killer.start()
        for _ in range(kills):
            killer.round(usual)
            assert np.array_equal(pc.bincount(keys, on=pool), exact)
            assert killer.killed.wait(TIME_LIMIT)
        killer.round(-1)
        killer.join(TIME_LIMIT)
        assert not killer.is_alive()
        pids = pool.pids()
    assert killer.kills == kills
    assert not any(map(remote.is_alive, pids))
