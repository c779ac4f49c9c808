"""What tests of the shared counters have other processes do, which import this module by name."""

import os
import signal
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from tests.remote import TIME_LIMIT


def count(counter: Any) -> int:
    """Count up by 3000, in every way there is."""
    handle = counter.local()
    for _ in range(500):
        counter.increment()
        counter.add(3)
        handle.increment()
        handle.add(1)
    return counter.value


def obey(pipe: Connection, counter: Any) -> None:
    """Call the methods of a counter whose names come through the pipe, and send back what they return; end at "end"."""
    while True:
        assert pipe.poll(TIME_LIMIT), "nobody said what to do"
        method = pipe.recv()
        if method == "end":
            return
        pipe.send(getattr(counter, method)())


def end_at_once(counter: Any) -> NoReturn:
    """Count one, and be gone with nothing done."""
    counter.increment()
    os._exit(3)


def die_counting(counter: Any) -> NoReturn:
    """Count one, and be killed."""
    counter.increment()
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def report_and_count(counter: Any, before: Any, after: Any, worker: int, times: int) -> None:
    """Count one by one; tell in a place of its own what is about to be counted, and what has been."""
    for done in range(1, times + 1):
        before[worker] = done
        counter.increment()
        after[worker] = done
