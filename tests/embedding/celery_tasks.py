"""The application of Celery's workers. The process that forks them has made the counters and used threads."""

import os
from pathlib import Path
from typing import Any

from celery.signals import worker_process_init

import parcount as pc
from tests.embedding.celery_broker import FOLDER, connect
from tests.embedding.work import MARK, Work, attach_cells, count_arrays, make_cells, make_tasks

app = connect(Path(os.environ[FOLDER]))
work = Work(make_tasks(os.environ[MARK]), make_cells(os.environ[MARK]))
work.paths.update(["of the parent"])
count_arrays()


@worker_process_init.connect
def attach(**_: Any) -> None:
    """Open a counter by its name too. No worker closes it: they end without clean-up."""
    work.cells = attach_cells(os.environ[MARK])


@app.task(name="do")
def do(task: int) -> dict[str, int]:
    return work.do(task)


@app.task(name="nest")
def nest() -> list[int]:
    """Use worker processes of this worker's own."""
    return pc.Processes(2).map(abs, [-1, -2])


@app.task(name="die")
def die() -> None:
    work.die()
