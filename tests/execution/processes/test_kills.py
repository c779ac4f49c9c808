"""Workers that are killed at random while items travel in chunks, calls are submitted, and results are streamed."""

import itertools
import operator
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Event, Thread

import numpy as np
import pytest

import parcount as pc
from parcount.execution.processes import serialisation
from parcount.execution.processes.execution import Processes
from tests import remote
from tests.remote import TIME_LIMIT

KILLS = 84
"""For each of twelve ways: a thousand in all."""

LARGE = serialisation.SHARED_COPY_MIN_BYTES // 4

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to kill a process with"),
]


def in_chunks(pool: Processes) -> None:
    assert pool.map(operator.neg, range(400), chunksize=20) == [-i for i in range(400)]


def submitted(pool: Processes) -> None:
    values = [np.arange(LARGE if i == 3 else 5) + i for i in range(6)]
    futures = [pool.submit(np.negative, value) for value in values]
    for value, future in zip(values, futures, strict=True):
        np.testing.assert_array_equal(future.result(TIME_LIMIT), -value)


def streamed(pool: Processes) -> None:
    results = pool.imap(operator.neg, itertools.count())
    assert [next(results) for _ in range(100)] == [-i for i in range(100)]
    results.close()


def streamed_in_any_order(pool: Processes) -> None:
    assert sorted(pool.imap_unordered(abs, range(-100, 0), chunksize=3)) == [*range(1, 101)]


@pytest.fixture
def pool(request: pytest.FixtureRequest) -> Iterator[Processes]:
    with pc.Processes(2, transport=request.param, retries=10_000) as pool:
        pids = set(pool.pids())
        yield pool
        pids |= set(pool.pids())
    assert not any(remote.is_alive(pid) for pid in pids)


@pytest.mark.parametrize("pool", ["pipe", "shared_memory", "queue"], indirect=True)
@pytest.mark.parametrize("call", [in_chunks, submitted, streamed, streamed_in_any_order])
def test_nothing_is_lost(pool: Processes, call: Callable[[Processes], None]) -> None:
    random.seed(call.__name__)
    killed: set[int] = set()
    ended = Event()

    def kill() -> None:
        # Only workers that can have an item: a pool gives up if five in a row end before.
        assert pool._pool is not None
        while len(killed) < KILLS and not ended.wait(random.uniform(0, 0.01)):
            alive = [worker.pid for worker in list(pool._pool.workers) if worker.ready and worker.pid not in killed]
            for pid in random.sample(alive, min(1, len(alive))):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed.add(pid)

    killer = Thread(target=kill)
    killer.start()
    try:
        while killer.is_alive():
            call(pool)
    finally:
        ended.set()
        killer.join(TIME_LIMIT)
    assert len(killed) >= KILLS
    call(pool)
