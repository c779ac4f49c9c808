"""What is particular to threads."""

import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import parcount as pc
from tests.conftest import GIL, Run
from tests.remote import TIME_LIMIT, until


def ours() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("parcount")}


def test_items_share_the_callers_memory() -> None:
    cells = np.zeros(4, np.int64)

    def count(i: int) -> np.ndarray:
        cells[i] += 1
        return cells

    with pc.Threads(2) as threads:
        assert all(result is cells for result in threads.map(count, range(4)))
    assert cells.tolist() == [1, 1, 1, 1]


def test_no_more_threads_than_workers() -> None:
    with pc.Threads(2) as threads:
        names = threads.map(lambda _: threading.current_thread().name, range(50))
    assert len(set(names)) <= 2
    assert all(name.startswith("parcount") for name in names)


IN_A_FORK = """
import os
from threading import Event
import parcount as pc

end = Event()
with pc.Threads(1) as threads:
    assert threads.map(abs, [-1]) == [1]
    future = threads.submit(end.wait)
    child = os.fork()
    if not child:
        for call in (lambda: threads.map(abs, [-1]), lambda: threads.submit(abs, -1)):
            try:
                call()
            except RuntimeError as error:
                print(str(error).replace(str(os.getppid()), "PARENT"))
        print(pc.Threads(1).map(abs, [-1]))
    else:
        end.set()
        os.waitpid(child, 0)
        print(threads.map(abs, [-2]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no forks")
@pytest.mark.timeout(60)
def test_a_fork_has_none_of_its_parents_threads(run_script: Run) -> None:
    ran = run_script(IN_A_FORK)
    assert ran.returncode == 0
    refused = "these workers were started by process PARENT, and this process is a fork of it"
    assert ran.stdout.splitlines() == [refused, refused, "[1]", "[2]"]


def test_threads_are_gone_after_the_with() -> None:
    standing = ours()  # those that the array functions keep
    with pc.Threads(3) as threads:
        threads.together(abs, [1, 2, 3])
        assert len(ours() - standing) == 3
    assert ours() == standing


def test_threads_are_gone_after_a_failed_call() -> None:
    standing = ours()
    with pytest.raises(ZeroDivisionError):
        pc.Threads(3).map(lambda x: 1 // x, [1, 0, 1])
    assert ours() == standing


@pytest.mark.parametrize("call", ["map", "together"])
def test_a_failed_call_ends_after_the_items_begun(call: str) -> None:
    # Inside a `with` no thread may still write to the caller's arrays once the call has raised.
    begun, running = threading.Event(), threading.Event()

    def fail_first(item: int) -> None:
        if item == 0:
            assert begun.wait(TIME_LIMIT)
            raise ValueError("item 0")
        running.set()
        begun.set()
        threading.Event().wait(0.2)  # time in which a call that does not wait for this item raises
        running.clear()

    with pc.Threads(2) as threads, pytest.raises(ValueError, match="item 0"):  # noqa: PT012
        try:
            getattr(threads, call)(fail_first, [0, 1])
        finally:
            assert not running.is_set()


def test_items_not_begun_when_another_fails_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    done = []
    dropped = threading.Event()

    def fail_first(item: int) -> None:
        if item == 0:
            raise ValueError("item 0")
        assert dropped.wait(TIME_LIMIT)  # so the one thread does not come to item 2 before it can be dropped
        done.append(item)

    def cancel(self: Future[Any], cancel: Callable[[Future[Any]], bool] = Future.cancel) -> bool:
        cancelled = cancel(self)
        if not cancelled:  # this item had begun: those behind it have been cancelled by now
            dropped.set()
        return cancelled

    monkeypatch.setattr(Future, "cancel", cancel)
    with pc.Threads(1) as threads:
        with pytest.raises(ValueError, match="item 0"):
            threads.map(fail_first, range(50))
        assert done in ([], [1])


@pytest.mark.timeout(TIME_LIMIT, method="thread")  # no exception would free them
def test_together_releases_waiting_threads_if_an_item_cannot_be_submitted(monkeypatch: pytest.MonkeyPatch) -> None:
    handed_out = []
    submit = ThreadPoolExecutor.submit

    def submit_two(self: ThreadPoolExecutor, *args: Any) -> Any:
        if len(handed_out) == 2:
            raise RuntimeError("can't start new thread")
        handed_out.append(args)
        return submit(self, *args)

    done = []
    with pc.Threads(3) as threads:
        with monkeypatch.context() as patch:
            patch.setattr(ThreadPoolExecutor, "submit", submit_two)
            with pytest.raises(RuntimeError, match="can't start new thread"):
                threads.together(done.append, [1, 2, 3])
        assert done == []
        assert threads.together(abs, [-1, -2, -3])[0] == [1, 2, 3]


def test_an_exception_does_not_keep_itself_alive(no_collector: None) -> None:
    # It would keep the call's arrays too, and the shared memory they lie in.
    class Witness:
        pass

    def fail(item: Witness) -> None:
        raise ValueError("no")

    def call() -> weakref.ref[Witness]:
        item = Witness()
        with pytest.raises(ValueError, match="no"):
            threads.map(fail, [item])
        return weakref.ref(item)

    with pc.Threads(2) as threads:
        left = call()
        if not GIL:  # what a thread has made is then its own to free, once it runs again
            until(lambda: threads.map(abs, [1, 2]) and left() is None, "the item was never freed")
        assert left() is None


def test_items_of_an_abandoned_stream_that_have_begun_are_waited_for() -> None:
    begun, finished = [], []

    def work(item: int) -> int:
        begun.append(item)
        threading.Event().wait(0.05)  # time in which a generator that does not wait for this item closes
        finished.append(item)
        return item

    with pc.Threads(2) as threads:
        results = threads.imap(work, range(100))
        assert next(results) == 0
        results.close()
        assert sorted(begun) == sorted(finished)
        assert len(begun) <= 5
