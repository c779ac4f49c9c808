import os
import signal
import sys
import threading
import time
from multiprocessing import Pipe
from pathlib import Path

import pytest

from parcount.execution.processes.poller import Poller
from tests.plain import until
from tests.remote import TIME_LIMIT

pytestmark = pytest.mark.timeout(60)


def test_those_that_are_ready_and_none_at_the_deadline() -> None:
    poller = Poller()
    receiver, sender = Pipe(duplex=False)
    with receiver, sender:
        poller.register(receiver)
        assert poller.wait(0.0) == []
        assert poller.wait(time.monotonic() + 0.01) == []
        sender.send(1)
        assert poller.wait(None) == [receiver]
        poller.unregister(receiver)
        assert poller.wait(0.0) == []


@pytest.mark.skipif(sys.platform != "linux", reason="/proc says what a thread waits for")
def test_a_signal_that_does_not_end_the_system_call_is_handled() -> None:
    """The kernel gives it to another thread; a signal just before the call has the same effect."""
    where = Path(f"/proc/self/task/{threading.main_thread().native_id}/wchan")

    def interrupt() -> None:
        until(lambda: "poll" in where.read_text(), "the main thread does not wait")
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    if (
        not os.access(where, os.R_OK)
        or where.read_text() == ""
        or threading.current_thread() is not threading.main_thread()
    ):
        pytest.skip("what a thread waits for cannot be seen here")
    thread = threading.Thread(target=interrupt)
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        thread.start()
        Poller().wait(None)
    thread.join(TIME_LIMIT)
