from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from parcount.studies.core.process_group import TIME_LIMIT, ProcessGroup

CONTEXT = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")


@contextmanager
def put(queue: Any, item: Any) -> Iterator[Callable[[], None]]:
    def task() -> None:
        if isinstance(item, Exception):
            raise item
        if item == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if item == "raise what cannot be pickled":
            raise type("Local", (Exception,), {})("local")
        if item == "hang":
            signal.pause()
        queue.put((item, os.getpid()))

    yield task


def made(queue: Any, count: int) -> dict[Any, int]:
    return dict(queue.get(timeout=60) for _ in range(count))


@pytest.fixture
def group() -> Iterator[ProcessGroup]:
    with ProcessGroup(2, CONTEXT, lambda context: context.Queue()) as opened:
        yield opened


def test_each_process_runs_a_task_with_what_all_inherit(group: ProcessGroup) -> None:
    queue = group.inherited
    for _ in range(2):
        spans = group.run(put, ["a", "b"])
        assert all(began <= ended for began, ended in spans)
        pids = made(queue, 2)
        assert [pids["a"], pids["b"]] == group.pids()
    assert group.inherited is queue


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize(
    ("item", "error", "message"),
    [
        (OSError("no room"), OSError, "no room"),
        ("die", RuntimeError, "a process ended with exit code -9"),
        ("raise what cannot be pickled", RuntimeError, "Local: local"),
        ("hang", TimeoutError, "did not end within"),
    ],
)
def test_after_an_error_the_processes_are_others(
    group: ProcessGroup, item: Any, error: type[Exception], message: str
) -> None:
    group.run(put, ["a", "b"])
    before = set(group.pids())
    group.limit = 0.5 if item == "hang" else TIME_LIMIT
    with pytest.raises(error, match=message):
        group.run(put, ["c", item])
    group.limit = TIME_LIMIT
    assert group.pids() == []
    group.run(put, ["d", "e"])
    assert {*made(group.inherited, 2)} == {"d", "e"}
    assert not before.intersection(group.pids())
