"""Calls that are submitted to worker processes: what becomes of them if workers die, hang, or cannot start."""

import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, wait
from functools import partial
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest

import parcount as pc
from parcount.execution.processes import channel, serialisation
from parcount.execution.processes.execution import Processes
from parcount.execution.processes.supervisor import MAX_FAILED_STARTS, Worker, WorkerPool
from tests import plain, remote
from tests.execution.executions import FORK_MARKS, TRANSPORTED
from tests.plain import until
from tests.remote import TIME_LIMIT

pytestmark = [pytest.mark.timeout(60), pytest.mark.usefixtures("nothing_is_left")]

LARGE = serialisation.SHARED_COPY_MIN_BYTES // 4

kills = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to kill a process with")


# Workers cannot be forked by the dispatcher's thread, so those that die are not replaced meanwhile.
REPLACED = [param for param in TRANSPORTED if not str(param.id).startswith("fork-")]


@pytest.fixture(scope="module", params=REPLACED)
def pool(request: pytest.FixtureRequest) -> Iterator[Processes]:
    with pc.Processes(2, **request.param) as pool:
        yield pool


@kills
class TestDeaths:
    def test_a_call_whose_worker_is_killed_is_run_again(self, pool: Processes) -> None:
        tried = pc.shared_array(8)
        futures = [pool.submit(remote.DieAtFirst(tried, 3, 2), item) for item in range(8)]
        assert [future.result(TIME_LIMIT) for future in futures] == list(range(8))
        assert tried[3] == 3
        assert tried.sum() == 10

    def test_only_the_guilty_call_fails(self, pool: Processes) -> None:
        futures = [pool.submit(remote.DieOn(3), item) for item in range(8)]
        error = futures[3].exception(TIME_LIMIT)
        assert isinstance(error, pc.WorkerDied)
        assert str(error) == ("the worker that ran a tests.remote.DieOn was killed by SIGKILL, at the last of 3 tries")
        assert (error.part, error.exitcode, error.tries) == (None, -signal.SIGKILL, 3)
        assert [future.result(TIME_LIMIT) for item, future in enumerate(futures) if item != 3] == [0, 1, 2, 4, 5, 6, 7]

    def test_without_retries_none_is_begun_twice(self) -> None:
        tried = pc.shared_array(6)
        with pc.Processes(2, retries=0) as pool:
            futures = [pool.submit(remote.DieAtFirst(tried, 2, 1), item) for item in range(6)]
            wait(futures, TIME_LIMIT)
            assert isinstance(futures[2].exception(), pc.WorkerDied)
        assert tried.tolist() == [1] * 6

    def test_a_worker_that_dies_while_it_waits_costs_no_try(self) -> None:
        with pc.Processes(1, retries=0) as pool:
            first = pool.submit(os.getpid).result(TIME_LIMIT)
            os.kill(first, signal.SIGKILL)
            until(lambda: not remote.is_alive(first), "the worker did not end")
            assert pool.submit(os.getpid).result(TIME_LIMIT) != first

    def test_a_call_that_takes_too_long(self) -> None:
        with pc.Processes(2, timeout=0.5, retries=0) as pool:
            futures = [pool.submit(remote.HangOn(1), item) for item in range(5)]
            with pytest.raises(pc.WorkerDied, match=r"ran a tests.remote.HangOn was ended at the timeout of 0.5 s"):
                futures[1].result(TIME_LIMIT)
            assert [future.result(TIME_LIMIT) for item, future in enumerate(futures) if item != 1] == [0, 2, 3, 4]

    def test_workers_are_replaced_after_some_calls(self) -> None:
        with pc.Processes(1, max_tasks_per_worker=3) as pool:
            pids = [pool.submit(os.getpid).result(TIME_LIMIT) for _ in range(9)]
        assert [len(set(pids[start : start + 3])) for start in (0, 3, 6)] == [1, 1, 1]
        assert len(set(pids)) == 3


class TestArrays:
    def test_there_and_back(self, pool: Processes) -> None:
        arrays = [np.arange(LARGE) + number for number in range(6)]
        futures = [pool.submit(np.negative, array) for array in arrays]
        for array, future in zip(arrays, futures, strict=True):
            np.testing.assert_array_equal(future.result(TIME_LIMIT), -array)

    def test_shared(self, pool: Processes) -> None:
        shared = pc.shared_array(1000)
        wait([pool.submit(remote.count_up, shared[part::4]) for part in range(4)], TIME_LIMIT)
        assert shared.tolist() == [1] * 1000

    def test_results_are_not_kept(self, pool: Processes) -> None:
        future = pool.submit(remote.ones, LARGE)
        assert future.result(TIME_LIMIT).sum() == LARGE
        del future  # `nothing_is_left` looks for its memory


class TestWhatCannotBeSent:
    @pytest.mark.parametrize("busy", [False, True])
    def test_an_argument(self, pool: Processes, busy: bool) -> None:
        gate = pc.shared_array(4)
        calls = [pool.submit(plain.wait_for, gate, number) for number in range(4 if busy else 0)]
        try:
            with pytest.raises(TypeError, match=r"argument 2 of the submitted call of tests.plain.collect.* can"):
                pool.submit(plain.collect, 1, Event())
            with pytest.raises(TypeError, match=r"argument key of the submitted call of tests.plain.collect.* can"):
                pool.submit(plain.collect, 1, key=Event())
        finally:
            gate[:] = 1
        assert [call.result(TIME_LIMIT) for call in calls] == list(range(len(calls)))
        assert pool.submit(abs, -1).result(TIME_LIMIT) == 1

    def test_a_function(self, pool: Processes) -> None:
        with pytest.raises(TypeError, match=r"^argument 'key' of functools.partial.* cannot be sent"):
            pool.submit(partial(plain.collect, key=Event()), 1)
        with pytest.raises(TypeError, match=r"^a tests.plain.WaitFor: .* cannot be sent"):
            pool.submit(plain.WaitFor(Event()), 1)  # type: ignore[arg-type]

    def test_a_result(self, pool: Processes) -> None:
        with pytest.raises(TypeError, match="lock"):
            pool.submit(plain.unpicklable_result, 1).result(TIME_LIMIT)

    def test_an_argument_that_changed_while_it_waited(self, pool: Processes) -> None:
        gate, argument = pc.shared_array(4), [1]
        calls = [pool.submit(plain.wait_for, gate, number) for number in range(4)]
        late = pool.submit(plain.collect, argument)
        argument.append(Event())  # type: ignore[arg-type]
        gate[:] = 1
        with pytest.raises(TypeError, match=r"argument 1 of the submitted call of tests.plain.collect"):
            late.result(TIME_LIMIT)
        assert [call.result(TIME_LIMIT) for call in calls] == list(range(4))

    @kills
    def test_an_argument_that_changed_before_its_worker_was_killed(self) -> None:
        begun, gate = pc.shared_array(1), pc.shared_array(1)
        arguments = [begun, gate]
        with pc.Processes(1) as pool:
            lost = pool.submit(_begin_and_wait, arguments)
            other = pool.submit(abs, -1)
            until(lambda: begun[0], "the call has not begun")
            arguments.append(Event())
            os.kill(pool.pids()[0], signal.SIGKILL)
            with pytest.raises(TypeError, match=r"argument 1 of the submitted .*_begin_and_wait"):
                lost.result(TIME_LIMIT)
            assert other.result(TIME_LIMIT) == 1


class TestWorkersThatDoNotStart:
    def test_an_initializer_that_fails(self) -> None:
        failing = pc.shared_array(1)
        with pc.Processes(1, initializer=remote.fail_if, initargs=(failing,), retries=0) as pool:
            pid = pool.submit(os.getpid).result(TIME_LIMIT)
            failing[0] = 1
            os.kill(pid, signal.SIGTERM)
            until(lambda: not remote.is_alive(pid), "the worker did not end")
            futures = [pool.submit(abs, number) for number in range(3)]
            for future in futures:
                with pytest.raises(LookupError, match="the initializer was told to fail"):
                    future.result(TIME_LIMIT)
            failing[0] = 0
            assert pool.submit(abs, -1).result(TIME_LIMIT) == 1

    @kills
    def test_the_last_worker_is_killed_when_others_do_not_start(self) -> None:
        failing, gate = pc.shared_array(1), pc.shared_array(1)
        with pc.Processes(2, initializer=remote.kill_self_if, initargs=(failing,)) as pool:
            held = pool.submit(plain.wait_for, gate, 0)
            assert pool._pool is not None
            (busy,) = (worker.pid for worker in pool._pool.workers if worker.pending)
            failing[0] = 1
            os.kill(next(pid for pid in pool.pids() if pid != busy), signal.SIGKILL)
            until(lambda: pool._pool._failures == MAX_FAILED_STARTS, "the others start")
            os.kill(busy, signal.SIGKILL)
            with pytest.raises(pc.WorkerDied, match="SIGKILL"):
                held.result(TIME_LIMIT)
            failing[0] = 0
            assert pool.submit(abs, -1).result(TIME_LIMIT) == 1


class TestInterruptions:
    """Of the thread that submits, in the middle of something."""

    def test_while_it_starts_workers(self, pool: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
        assert pool.map(abs, [-1]) == [1]  # it takes the workers from the dispatcher
        with monkeypatch.context() as patch:
            patch.setattr(WorkerPool, "start_missing", interrupt)
            with pytest.raises(KeyboardInterrupt):
                pool.submit(abs, -1)
        assert pool.submit(abs, -1).result(TIME_LIMIT) == 1
        assert pool.map(abs, [-1]) == [1]

    @pytest.mark.skipif(sys.platform == "win32", reason="Windows sends a message as a whole")
    @pytest.mark.parametrize("retries", [0, 2])
    def test_while_it_sends(self, monkeypatch: pytest.MonkeyPatch, retries: int) -> None:
        def write_half(connection: Any, data: bytes) -> None:
            os.write(connection.fileno(), data[: len(data) // 2])
            raise KeyboardInterrupt

        with pc.Processes(1, threads=2, retries=retries) as pool:
            gate = pc.shared_array(1)
            other = pool.submit(plain.wait_for, gate, 0)
            until(lambda: not other.done() and other.running(), "the first call does not run")
            with monkeypatch.context() as patch:
                patch.setattr(channel, "_write_bytes", write_half)
                with pytest.raises(KeyboardInterrupt):
                    pool.submit(abs, -1)
            gate[0] = 1
            assert pool.submit(abs, -2).result(TIME_LIMIT) == 2
            assert isinstance(other.exception(TIME_LIMIT), pc.WorkerDied | None)

    def test_after_it_has_sent(self, pool: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Future, "set_running_or_notify_cancel", interrupt)
            with pytest.raises(KeyboardInterrupt):
                pool.submit(abs, -1)
        futures = [pool.submit(abs, -number) for number in range(6)]
        assert [future.result(TIME_LIMIT) for future in futures] == list(range(6))

    def test_while_it_asks_for_the_workers(self, pool: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
        assert pool.submit(abs, -1).result(TIME_LIMIT) == 1
        assert pool._dispatcher is not None
        with monkeypatch.context() as patch:
            patch.setattr(type(pool._dispatcher._sender), "send_bytes", interrupt)
            with pytest.raises(KeyboardInterrupt):
                pool.map(abs, [-1])
        assert pool.map(abs, [-1]) == [1]


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_deadlines_while_another_thread_sends() -> None:
    class Sent:
        @property
        def deadline(self) -> float:
            worker.pending[len(worker.pending)] = Sent()
            return 1.0

    worker = Worker(None, None, "", 0, pending={0: Sent(), 1: Sent()})
    assert worker.deadline == 1


class TestOtherCalls:
    def test_a_callback_that_exits(self, pool: Processes) -> None:
        gate = pc.shared_array(2)
        exits, other = (pool.submit(plain.wait_for, gate, number) for number in range(2))
        exits.add_done_callback(lambda _: sys.exit(1))
        gate[0] = 1
        assert exits.result(TIME_LIMIT) == 0
        assert pool.submit(abs, -1).result(TIME_LIMIT) == 1
        gate[1] = 1
        assert other.result(TIME_LIMIT) == 1

    def test_a_generator_of_this_thread_keeps_the_workers(self, pool: Processes) -> None:
        results = pool.imap(abs, [-1, -2, -3])
        assert next(results) == 1
        with pytest.raises(RuntimeError, match="busy with another call of this thread"):
            pool.submit(abs, -1)
        assert list(results) == [2, 3]
        assert pool.submit(abs, -1).result(TIME_LIMIT) == 1

    def test_a_call_from_a_callback(self, pool: Processes) -> None:
        errors: list[BaseException] = []
        called = Event()

        def call(_: Future[int]) -> None:
            try:
                pool.map(abs, [1])
            except RuntimeError as error:
                errors.append(error)
            called.set()

        gate = pc.shared_array(1)
        future = pool.submit(plain.wait_for, gate, 0)
        future.add_done_callback(call)
        gate[0] = 1
        assert called.wait(TIME_LIMIT)
        assert "busy with another call of this thread" in str(errors[0])

    def test_the_block_ends_while_a_generator_of_another_thread_waits(self) -> None:
        # A submitted call waits for the workers that the generator has; the block does not wait for either.
        before = _dispatchers()
        with pc.Processes(1) as pool:
            results = pool.imap(abs, [-1, -2, -3])
            assert next(results) == 1
            futures: list[Future[int]] = []
            submitter = Thread(target=lambda: futures.append(pool.submit(abs, -1)))
            submitter.start()
            submitter.join(TIME_LIMIT)
        with pytest.raises(CancelledError):
            futures[0].result(TIME_LIMIT)
        with pytest.raises(RuntimeError, match="has ended"):
            list(results)
        gc.collect()
        until(lambda: _dispatchers() == before, "the thread did not end")

    @pytest.mark.parametrize("method", [pytest.param("fork", marks=FORK_MARKS)])
    def test_a_forked_child(self, method: str) -> None:
        with pc.Processes(1) as pool:
            assert pool.submit(abs, -1).result(TIME_LIMIT) == 1
            context: Any = multiprocessing.get_context(method)
            child = context.Process(target=_submit_in_child, args=(pool,))
            child.start()
            child.join(TIME_LIMIT)
            assert child.exitcode == 0
            assert pool.submit(abs, -1).result(TIME_LIMIT) == 1

    def test_threads_and_processes_end(self) -> None:
        before = _dispatchers()
        with pc.Processes(2) as pool:
            pids = [pool.submit(os.getpid).result(TIME_LIMIT), *pool.pids()]
            assert len(_dispatchers()) == len(before) + 1
        assert _dispatchers() == before
        assert not any(remote.is_alive(pid) for pid in pids)


def _begin_and_wait(arguments: list[Any]) -> int:
    return remote.begin_and_wait(*arguments, 0)


def _dispatchers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "parcount-submit"]


def _submit_in_child(pool: Processes) -> None:
    with pytest.raises(RuntimeError, match="this process is a fork of it"):
        pool.submit(abs, -1)
    pool.__exit__(None, None, None)
