"""What the workers of every program do: count, and call array functions."""

import json
import os
import signal
import threading
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

import parcount as pc
from parcount.system.cores import allowed_cores

MARK = "PARCOUNT_TEST_MARK"
"""The variable that has the prefix of the names of a program's counters."""

PRELOADED = "PARCOUNT_TEST_PRELOADED"
"""The variable that is set if the process that forks Gunicorn's workers imports the application."""

CELLS = 8
BINS = 100
KEYS = np.arange(600_000) % BINS
"""Enough for two threads by default."""


def make_tasks(mark: str) -> pc.SharedCounter:
    return pc.SharedCounter(name=f"{mark}tasks")


def make_cells(mark: str) -> pc.CounterArray:
    return pc.CounterArray(CELLS, shared=True, name=f"{mark}cells")


def attach_tasks(mark: str) -> pc.SharedCounter:
    return pc.SharedCounter.attach(f"{mark}tasks")


def attach_cells(mark: str) -> pc.CounterArray:
    return pc.CounterArray.attach(f"{mark}cells")


class Work:
    """The tasks of a worker, which it counts for all workers and, by path, for this process."""

    def __init__(self, tasks: pc.SharedCounter, cells: pc.CounterArray) -> None:
        self.tasks = tasks
        self.cells = cells
        self.paths: pc.ConcurrentCounter[str] = pc.ConcurrentCounter()

    def do(self, task: int) -> dict[str, int]:
        """Count a task, and arrays; return the number of the task, and how many this process has done."""
        number = self.tasks.increment()
        self.cells.add(task % CELLS)
        self.cells.add_at([0, CELLS - 1, -1], 10)
        self.paths.update([f"/{task}", "/"])
        return {"pid": os.getpid(), "number": number, "done": self.paths["/"], "threads": count_arrays()}

    def die(self) -> NoReturn:
        """Count a task and three cells, and be killed in the middle of the task."""
        self.tasks.increment()
        self.cells.add_at([1, 1, 1])
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    def respond(self, path: str) -> bytes:
        """The response to a request for ``/ready``, ``/die`` or the number of a task."""
        if path == "/die":
            self.die()
        return json.dumps({"pid": os.getpid()} if path == "/ready" else self.do(int(path[1:]))).encode()


def cells_after(tasks: Sequence[int], deaths: int) -> list[int]:
    """The values of the cells."""
    cells = np.bincount(np.array(tasks) % CELLS, minlength=CELLS)
    cells[0] += 10 * len(tasks)
    cells[-1] += 20 * len(tasks)
    cells[1] += 3 * deaths
    return cells.tolist()


def check(answers: Sequence[dict[str, int]], tasks: Sequence[int], deaths: int, total: int, cells: list[int]) -> None:
    """Assert that the answers to these tasks, and the counts of all workers after them and some deaths, are exact."""
    assert len(answers) == len({answer["number"] for answer in answers}) == len(tasks)
    assert total == len(tasks) + deaths
    assert max(answer["number"] for answer in answers) <= total
    assert cells == cells_after(tasks, deaths)
    assert sum(done_by_process(answers).values()) == len(tasks)
    assert {answer["threads"] for answer in answers} == {2}


def done_by_process(answers: Sequence[dict[str, int]]) -> dict[int, int]:
    """How many tasks each process has done."""
    done: dict[int, int] = {}
    for answer in answers:
        done[answer["pid"]] = max(done.get(answer["pid"], 0), answer["done"])
    return done


def count_arrays() -> int:
    """Count by each kind of array function, with as many threads as it chooses and with two.

    Return how many threads of this process are the package's.
    """
    calls: list[Callable[..., Any]] = [
        lambda **how: pc.bincount(KEYS, **how),
        lambda **how: pc.histogram(KEYS, BINS, **how)[0],
        lambda **how: pc.unique_counts(KEYS, **how).counts,
    ]
    cores = allowed_cores()
    for call in calls:
        for how in ({}, {"threads": 2}):
            assert call(**how).tolist() == [len(KEYS) // BINS] * BINS
    assert allowed_cores() == cores
    return sum(thread.name.startswith("parcount") for thread in threading.enumerate())
