"""uvicorn, which spawns its workers."""

import pytest

from tests.embedding.conftest import Start, on_linux
from tests.embedding.web import Site
from tests.embedding.work import attach_cells, attach_tasks, check


@on_linux
def test_uvicorn(start: Start, mark: str) -> None:
    site = Site(
        lambda socket: start(
            "uvicorn",
            "tests.embedding.asgi:application",
            f"--fd={socket}",
            "--workers=2",
            "--lifespan=on",
            "--log-level=critical",
            pass_fds=(socket,),
        )
    )
    site.ask_until(lambda workers: len(workers) == 2)
    with attach_tasks(mark) as tasks, attach_cells(mark) as cells:
        with pytest.raises(OSError, match=r"closed|reset"):
            site.get("die")
        site.ask_until(lambda workers: len(workers) == 3)
        check(site.answers, site.tasks, 1, tasks.value, cells.values().tolist())
    site.program.stop()
    assert site.program.errors.read_text() == ""
