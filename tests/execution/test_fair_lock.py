"""The lock that threads get in the order in which they asked for it."""

import signal
import sys
from threading import Event, Thread, get_ident

import pytest

from parcount.execution.fair_lock import FairLock
from tests.plain import TIME_LIMIT, until


def test_it_is_passed_on_in_order() -> None:
    lock = FairLock()
    lock.acquire()
    order: list[int] = []
    threads = []
    for number in range(5):
        queued = Event()

        def ask(number: int = number, queued: Event = queued) -> None:
            lock.acquire(on_wait=queued.set)
            order.append(number)
            lock.release()

        threads.append(Thread(target=ask))
        threads[-1].start()
        assert queued.wait(TIME_LIMIT)
    assert lock.contended
    assert not lock.acquire(block=False)
    lock.release()
    lock.acquire()  # behind all of them
    assert order == [0, 1, 2, 3, 4]
    lock.release()
    assert lock.acquire(block=False)
    assert not lock.contended


@pytest.mark.skipif(sys.platform == "win32", reason="a signal does not end a wait for a lock on Windows")
def test_an_interrupted_thread_leaves_the_queue() -> None:
    lock = FairLock()
    lock.acquire()
    main = get_ident()
    queued = Event()

    def interrupt() -> None:
        assert queued.wait(TIME_LIMIT)
        signal.pthread_kill(main, signal.SIGINT)

    interrupter = Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        lock.acquire(on_wait=queued.set)
    interrupter.join(TIME_LIMIT)
    assert not lock.contended
    lock.release()
    assert lock.acquire(block=False)


def test_no_two_threads_have_it() -> None:
    lock = FairLock()
    inside = 0
    most = 0

    def enter() -> None:
        nonlocal inside, most
        for _ in range(300):
            lock.acquire()
            inside += 1
            most = max(most, inside)
            inside -= 1
            lock.release()

    threads = [Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: not any(thread.is_alive() for thread in threads), "the threads wait for ever")
    assert most == 1
