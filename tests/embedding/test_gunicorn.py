"""Gunicorn, whose workers are forked before the application is imported, or after (``--preload``)."""

from importlib.util import find_spec

import pytest

from tests.embedding.conftest import Start, on_linux
from tests.embedding.web import Site
from tests.embedding.work import PRELOADED, attach_cells, attach_tasks, check, make_cells, make_tasks
from tests.execution.executions import SLOW

MAX_REQUESTS = 8

SYNC = ["--worker-class=sync"]
THREADS = ["--worker-class=gthread", "--threads=3"]
GREENLETS = ["--worker-class=gevent"]

CASES = [
    pytest.param(SYNC, False, id="sync"),
    pytest.param(SYNC, True, id="sync-preload", marks=SLOW),
    pytest.param(THREADS, False, id="gthread", marks=SLOW),
    pytest.param(THREADS, True, id="gthread-preload"),
    *([pytest.param(GREENLETS, False, id="gevent", marks=SLOW)] if find_spec("gevent") else []),
]
"""Not gevent with ``--preload``: it asks that its greenlets replace threads before other modules are imported."""


def serve(start: Start, workers: list[str], preload: bool) -> Site:
    return Site(
        lambda socket: start(
            "gunicorn",
            "tests.embedding.wsgi",
            "--config=python:tests.embedding.gunicorn_conf",
            f"--bind=fd://{socket}",
            "--workers=2",
            *workers,
            *(["--preload"] if preload else []),
            f"--max-requests={MAX_REQUESTS}",
            "--log-level=critical",
            "--no-control-socket",
            pass_fds=(socket,),
            **({PRELOADED: "1"} if preload else {}),
        )
    )


@on_linux
@pytest.mark.parametrize(("workers", "preload"), CASES)
def test_gunicorn(start: Start, mark: str, workers: list[str], preload: bool) -> None:
    if preload:
        site = serve(start, workers, preload)
        site.get("ready")
        tasks, cells = attach_tasks(mark), attach_cells(mark)
    else:
        tasks, cells = make_tasks(mark), make_cells(mark)
        site = serve(start, workers, preload)
    with tasks, cells:
        site.ask_until(lambda workers: len(workers) >= 3)  # one after the last request of another
        with pytest.raises(OSError, match=r"closed|reset"):
            site.get("die")
        site.ask_until(lambda workers: len(workers) >= 4)
        check(site.answers, site.tasks, 1, tasks.value, cells.values().tolist())
        site.program.stop()
    assert site.program.errors.read_text() == ""
