"""`submit` of every execution: its futures are those of `concurrent.futures`."""

import asyncio
import operator
import traceback
from collections.abc import Iterator
from concurrent.futures import ALL_COMPLETED, CancelledError, Future, as_completed, wait
from threading import Barrier, Event, Thread, get_ident
from typing import Any

import pytest

import parcount as pc
from tests import plain
from tests.execution.executions import ALL, OURS, POOLS, Make, cells
from tests.remote import TIME_LIMIT

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module", params=ALL)
def pool(request: pytest.FixtureRequest) -> Iterator[pc.Execution]:
    with request.param(2) as pool:
        yield pool


@pytest.fixture(scope="module", params=OURS)
def ours(request: pytest.FixtureRequest) -> Iterator[pc.Execution]:
    with request.param(2) as pool:
        yield pool


def test_it_returns_a_future(pool: pc.Execution) -> None:
    future = pool.submit(pow, 2, 10)
    assert isinstance(future, Future)
    assert future.result(TIME_LIMIT) == 1024
    assert pool.submit(plain.collect, 1, function=2, self=3).result(TIME_LIMIT) == ((1,), {"function": 2, "self": 3})


def test_many_calls(pool: pc.Execution) -> None:
    futures = [pool.submit(operator.neg, i) for i in range(200)]
    assert {future.result() for future in as_completed(futures, TIME_LIMIT)} == {-i for i in range(200)}
    done, not_done = wait(futures, TIME_LIMIT, ALL_COMPLETED)
    assert (len(done), not_done) == (200, set())
    assert [future.result() for future in futures] == [-i for i in range(200)]


def test_asyncio_awaits_it(pool: pc.Execution) -> None:
    async def results() -> list[int]:
        return await asyncio.gather(*(asyncio.wrap_future(pool.submit(operator.neg, i)) for i in range(10)))

    assert asyncio.run(results()) == [-i for i in range(10)]


def test_an_exception(pool: pc.Execution) -> None:
    future = pool.submit(plain.fail_peculiarly, 1)
    error = future.exception(TIME_LIMIT)
    assert isinstance(error, plain.Peculiar)
    assert error.code == 42
    with pytest.raises(plain.Peculiar) as caught:
        future.result()
    assert "fail_peculiarly" in "".join(traceback.format_exception(caught.value))
    assert pool.submit(abs, -1).result(TIME_LIMIT) == 1


def test_callbacks_may_submit(pool: pc.Execution) -> None:
    second: list[Future[int]] = []
    submitted = Event()

    def callback(first: Future[int]) -> None:
        second.append(pool.submit(operator.neg, first.result()))
        submitted.set()

    pool.submit(abs, -3).add_done_callback(callback)
    assert submitted.wait(TIME_LIMIT)
    assert second[0].result(TIME_LIMIT) == -3


def test_several_threads_submit(pool: pc.Execution) -> None:
    barrier = Barrier(4)
    results: list[int] = []

    def submit(first: int) -> None:
        barrier.wait(TIME_LIMIT)
        futures = [pool.submit(operator.neg, i) for i in range(first, first + 25)]
        results.extend(future.result(TIME_LIMIT) for future in futures)

    threads = [Thread(target=submit, args=(25 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIME_LIMIT)
    assert sorted(results) == [-i for i in reversed(range(100))]


def test_map_and_submit_take_turns(ours: pc.Execution) -> None:
    results: list[list[int]] = []
    ended = Event()

    def submit() -> None:
        while not ended.is_set():
            results.append([f.result(TIME_LIMIT) for f in [ours.submit(operator.neg, i) for i in range(5)]])

    submitter = Thread(target=submit)
    submitter.start()
    try:
        for _ in range(20):  # calls that are submitted without end do not keep the workers from it
            assert ours.map(abs, range(-5, 0)) == [5, 4, 3, 2, 1]
    finally:
        ended.set()
        submitter.join(TIME_LIMIT)
    assert results
    assert all(result == [0, -1, -2, -3, -4] for result in results)


def test_a_call_that_waits_can_be_cancelled(ours: pc.Execution) -> None:
    gate = cells(ours, ours.concurrency + 1)
    running = [ours.submit(plain.wait_for, gate, number) for number in range(ours.concurrency)]
    waiting = ours.submit(plain.wait_for, gate, ours.concurrency)
    try:
        assert waiting.cancel()
        plain.until(lambda: all(future.running() for future in running), "the first calls do not run")
        assert not running[0].cancel()
    finally:
        for number in range(ours.concurrency):
            gate[number] = 1
    assert [future.result(TIME_LIMIT) for future in running] == list(range(ours.concurrency))
    with pytest.raises(CancelledError):
        waiting.result(TIME_LIMIT)
    assert waiting in wait([waiting], TIME_LIMIT).done


@pytest.mark.parametrize("make", POOLS)
def test_waiting_for_calls_that_the_end_of_the_block_drops(make: Make) -> None:
    pool = make(1)
    gate = cells(pool, 1)
    pool.__enter__()
    running = pool.submit(plain.wait_for, gate, 0)
    plain.until(running.running, "the first call does not run")
    waiting = [pool.submit(abs, -1) for _ in range(5)]
    assert waiting[0].cancel()
    leaver = Thread(target=pool.__exit__, args=(KeyboardInterrupt, KeyboardInterrupt(), None))
    leaver.start()
    try:
        assert wait(waiting, TIME_LIMIT).done == set(waiting)
        assert all(future.cancelled() for future in waiting)
    finally:
        gate[0] = 1
        leaver.join(TIME_LIMIT)


@pytest.mark.parametrize("make", OURS)
def test_the_end_of_the_block_waits(make: Make) -> None:
    with make(2) as pool:
        futures = [pool.submit(operator.neg, i) for i in range(50)]
    assert all(future.done() for future in futures)
    assert [future.result() for future in futures] == [-i for i in range(50)]
    with pytest.raises(RuntimeError, match=r"has no workers: submit calls inside its `with` block"):
        pool.submit(abs, 1)


def test_a_call_may_use_its_execution_while_the_block_ends() -> None:
    ending = Event()

    def use() -> list[int]:
        assert ending.wait(TIME_LIMIT)
        return pool.map(abs, [-1])

    with pc.Threads(2) as pool:
        future = pool.submit(use)
        original, pool._awaited_at_exit = pool._awaited_at_exit, lambda: (ending.set(), original())[1]
    assert future.result(0) == [1]


@pytest.mark.parametrize("make", [pc.Threads, pc.Processes])
def test_a_callback_may_use_its_execution_while_the_block_ends(make: Make) -> None:
    ending, ended = Event(), Event()
    results: list[Any] = []

    def use(_: Future[int]) -> None:
        assert ending.wait(TIME_LIMIT)
        try:
            results.append(pool.map(abs, [-1]))
        except RuntimeError as error:  # of processes, which the submitted calls may still have
            results.append(str(error))
        ended.set()

    with make(2) as pool:
        gate = cells(pool, 1)
        pool.submit(plain.wait_for, gate, 0).add_done_callback(use)
        original, pool._awaited_at_exit = pool._awaited_at_exit, lambda: (ending.set(), original())[1]
        gate[0] = 1
    assert ended.wait(TIME_LIMIT)
    assert results == [[1]] or "busy with another call of this thread" in results[0]
    assert not pool._entered


@pytest.mark.parametrize("make", OURS)
def test_an_exception_ends_the_block_and_its_calls(make: Make) -> None:
    gate = cells(make(2), 10)
    with pytest.raises(LookupError), make(2) as pool:  # noqa: PT012
        futures = [pool.submit(plain.wait_for, gate, number) for number in range(10)]
        if not pool.pids():  # Python code in a thread cannot be ended
            for number in range(10):
                gate[number] = 1
        raise LookupError
    assert all(future.done() for future in futures)
    ended = [future for future in futures if future.cancelled() or future.exception()]
    assert all(future.cancelled() or isinstance(future.exception(), CancelledError) for future in ended)
    assert len(ended) == 10 or not pool.pids()


@pytest.mark.parametrize("make", OURS)
def test_a_callback_that_submits_while_the_block_ends_is_refused(make: Make) -> None:
    errors: list[BaseException] = []

    def callback(_: Future[int]) -> None:
        plain.until(lambda: not execution._entered, "the block does not end")
        with pytest.raises(RuntimeError, match="has no workers") as caught:
            execution.submit(abs, -1)
        errors.append(caught.value)

    execution = make(2)
    gate = cells(execution, 1)
    with execution:
        execution.submit(plain.wait_for, gate, 0).add_done_callback(callback)
        gate[0] = 1
    assert len(errors) == 1


@pytest.mark.parametrize("function", [None, 3, "abs"])
def test_what_is_no_function_is_refused(pool: pc.Execution, function: object) -> None:
    with pytest.raises(TypeError, match="the function must be callable, not"):
        pool.submit(function)
    for method in (pool.map, pool.imap, pool.imap_unordered, pool.starmap, pool.together):
        with pytest.raises(TypeError, match="the function must be callable, not"):
            method(function, [1])


def test_outside_a_block_it_is_refused() -> None:
    for execution in (pc.Serial(), pc.Threads(2), pc.Processes(2)):
        with pytest.raises(RuntimeError, match=r"has no workers: submit calls inside"):
            execution.submit(abs, 1)


def test_serial_runs_it_in_this_thread() -> None:
    with pc.Serial() as serial:
        assert serial.submit(get_ident).result() == get_ident()
