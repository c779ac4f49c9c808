"""``python -m tests.embedding.pool METHOD`` prints what the tasks of a `multiprocessing.Pool` return."""

import json
import multiprocessing
import os
import sys

import parcount as pc
from tests.embedding.work import MARK, Work, attach_cells, count_arrays, make_cells, make_tasks
from tests.remote import until

TASKS = 12
LONGEST_LIFE = 8

work: Work


def begin(tasks: pc.SharedCounter, mark: str) -> None:
    global work
    work = Work(tasks, attach_cells(mark))


def do(task: int) -> dict[str, int]:
    return work.do(task)


def die() -> None:
    work.die()


def main(method: str) -> None:
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(["tests.embedding.work"])
    mark = os.environ[MARK]
    tasks, cells = make_tasks(mark), make_cells(mark)
    count_arrays()
    answers = []
    with context.Pool(2, begin, (tasks, mark)) as pool:
        answers += pool.map(do, range(TASKS), chunksize=1)
        pool.close()
        pool.join()
    # A pool does not see that a worker was killed, and cannot be joined then: it is terminated.
    with context.Pool(2, begin, (tasks, mark), maxtasksperchild=LONGEST_LIFE) as pool:
        pool.apply_async(die)
        until(lambda: tasks.value == TASKS + 1, "no worker was killed")
        answers += pool.map(do, range(TASKS, 3 * TASKS), chunksize=1)
    print(json.dumps({"answers": answers, "tasks": tasks.value, "cells": cells.values().tolist()}))


if __name__ == "__main__":
    main(sys.argv[1])
