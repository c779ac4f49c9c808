"""Gunicorn, whose workers are forked before the application is imported, or after (``--preload``)."""

import pytest

from tests.embedding.conftest import Program, Start, on_linux
from tests.embedding.web import Site
from tests.embedding.work import PRELOADED, attach_cells, attach_tasks, check, make_cells, make_tasks

MAX_REQUESTS = 8
WORKERS = {"sync": ["--worker-class=sync"], "gthread": ["--worker-class=gthread", "--threads=3"]}


@on_linux
@pytest.mark.parametrize("preload", [False, True], ids=["imported", "preloaded"])
@pytest.mark.parametrize("workers", WORKERS.values(), ids=WORKERS)
def test_gunicorn(start: Start, mark: str, workers: list[str], preload: bool) -> None:
    def serve(socket: int) -> Program:
        return start(
            "gunicorn",
            "tests.embedding.wsgi",
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

    if preload:
        site = Site(serve)
        site.get("ready")
        tasks, cells = attach_tasks(mark), attach_cells(mark)
    else:
        tasks, cells = make_tasks(mark), make_cells(mark)
        site = Site(serve)
    with tasks, cells:
        site.ask_until(lambda workers: len(workers) >= 3)  # one after the last request of another
        with pytest.raises(OSError, match=r"closed|reset"):
            site.get("die")
        site.ask_until(lambda workers: len(workers) >= 5)
        check(site.answers, site.tasks, 1, tasks.value, cells.values().tolist())
        site.program.stop()
    assert site.program.errors.read_text() == ""
