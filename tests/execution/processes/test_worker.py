"""Memory that a worker holds between tasks."""

from __future__ import annotations

import weakref
from threading import Event
from typing import Any

import numpy as np
import pytest

from parcount.execution.processes.channel import NONE, RESULT, STOP, TASK, Channel, Received
from parcount.execution.processes.serialisation import Message, Packing, dumps, loads
from parcount.execution.processes.worker import WorkerConfig, _Server, _ThreadedServer
from tests.remote import TIME_LIMIT

OUT_OF_BAND = Packing(out_of_band_min=0)


def config(threads: int) -> WorkerConfig:
    return WorkerConfig("", False, OUT_OF_BAND, threads, 1)


class OneTask(Channel):
    """Gives a worker one array and then stop; keeps no reference to the array."""

    def __init__(self) -> None:
        super().__init__(None, [], [])
        sent, _ = dumps((np.sum, (np.arange(10),), {}), OUT_OF_BAND)
        array = np.array(sent.out_of_band[0])
        self.left = weakref.ref(array)
        self.tasks = [(TASK, 7, Message(sent.data, [array]))]
        self.answered = Event()
        self.answers: list[Any] = []
        self.still_there: bool | None = None

    def send(self, tag: bytes, position: int = NONE, message: Message | None = None) -> None:
        assert message is not None
        self.answers.append((tag, position, loads(message)[0]))
        self.answered.set()

    def receive(self) -> Received:
        if self.tasks:
            return self.tasks.pop()
        assert self.answered.wait(TIME_LIMIT)
        self.still_there = self.left() is not None
        return STOP, NONE, Message()


def test_a_task_is_released_before_the_next_one_arrives() -> None:
    """Both at once would take twice the memory, and an idle worker would keep its last."""
    channel = OneTask()
    _Server(channel, config(1)).run()
    assert channel.answers == [(RESULT, 7, 45)]
    assert channel.still_there is False


@pytest.mark.parametrize("threads", [1, 2])
def test_a_worker_with_threads_keeps_no_task(threads: int) -> None:
    channel = OneTask()
    server = _ThreadedServer(channel, config(threads))
    server.run()
    server.pool.shutdown()
    assert channel.answers == [(RESULT, 7, 45)]
    assert channel.left() is None
