"""Celery, whose main process imports the tasks and forks the workers."""

import re
from pathlib import Path

import pytest

from tests.embedding.conftest import Start, on_linux
from tests.embedding.work import attach_cells, attach_tasks, check, done_by_process
from tests.remote import TIME_LIMIT

LONGEST_LIFE = 5


@on_linux
def test_celery(start: Start, mark: str, tmp_path: Path) -> None:
    from billiard.exceptions import WorkerLostError

    from tests.embedding.celery_broker import FOLDER, connect

    app = connect(tmp_path)
    with app.connection_for_write() as connection:  # kombu's file for it must not be written and read at the same time
        app.amqp.queues["celery"].bind(connection.default_channel).declare()

    program = start(
        "celery",
        "--app=tests.embedding.celery_tasks",
        "worker",
        "--pool=prefork",
        "--concurrency=2",
        f"--max-tasks-per-child={LONGEST_LIFE}",
        "--loglevel=critical",
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
        **{FOLDER: str(tmp_path)},
    )

    def ask(tasks: range) -> list[dict[str, int]]:
        sent = [app.send_task("do", [task]) for task in tasks]
        return [result.get(TIME_LIMIT, interval=0.02) for result in sent]

    answers = ask(range(2 * LONGEST_LIFE + 2))
    with attach_tasks(mark) as tasks, attach_cells(mark) as cells:
        assert max(done_by_process(answers).values()) == LONGEST_LIFE
        with pytest.raises(WorkerLostError, match="SIGKILL"):
            app.send_task("die").get(TIME_LIMIT, interval=0.02)
        answers += ask(range(2 * LONGEST_LIFE))
        check(
            answers, [*range(2 * LONGEST_LIFE + 2), *range(2 * LONGEST_LIFE)], 1, tasks.value, cells.values().tolist()
        )
    assert app.send_task("nest").get(TIME_LIMIT, interval=0.02) == [1, 2]
    program.stop()
    errors = program.errors.read_text()  # Celery itself tells that a worker was killed, and of a user that is root
    assert not re.search("leaked|tracker|Traceback|Exception", errors)
