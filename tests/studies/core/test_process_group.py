from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from parcount.studies.core.process_group import TIME_LIMIT, ProcessGroup
from tests.studies.core.tasks import put

CONTEXT = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")


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
def test_after_an_error_the_processes_are_others(group: ProcessGroup) -> None:
    before: set[int] = set()
    for item, error, message in (
        ("die", RuntimeError, "a process ended with exit code -9"),
        ("raise, before the others begin, what cannot be pickled", RuntimeError, "Local: local"),
        ("hang", TimeoutError, "did not end within"),
    ):
        group.run(put, ["a", "b"])
        assert {*made(group.inherited, 2)} == {"a", "b"}
        assert not before.intersection(group.pids())
        before.update(group.pids())
        group.limit = 0.5 if item == "hang" else TIME_LIMIT
        with pytest.raises(error, match=message):
            group.run(put, ["c", item])
        assert group.pids() == []
