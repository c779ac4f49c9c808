import gc
import multiprocessing
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from parcount.shm import segment
from tests.counters.support import MARK, Start, left
from tests.execution.executions import START_METHODS
from tests.remote import TIME_LIMIT, until


@pytest.fixture
def nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test leaves shared memory."""
    numbers = count()
    monkeypatch.setattr(segment, "token_hex", lambda _: f"{MARK}{next(numbers)}")
    yield
    if left():
        gc.collect()  # of what refers to itself
    until(lambda: not left(), "shared memory was left")  # a thread, or a process, may be just ending that has it


@pytest.fixture(params=START_METHODS)
def start(request: pytest.FixtureRequest) -> Iterator[Start]:
    """Start a process by each method; those that still run are killed."""
    context = multiprocessing.get_context(request.param)
    started: list[Any] = []

    def start(target: Any, args: tuple[Any, ...]) -> Any:
        process = context.Process(target=target, args=args)  # type: ignore[attr-defined]
        process.start()
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.join(TIME_LIMIT)
