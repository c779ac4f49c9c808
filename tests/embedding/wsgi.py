"""The application of Gunicorn."""

import os
from collections.abc import Callable, Iterable
from typing import Any

from tests.embedding.work import MARK, PRELOADED, Work, attach_cells, attach_tasks, count_arrays, make_cells, make_tasks

mark = os.environ[MARK]
if PRELOADED in os.environ:
    work = Work(make_tasks(mark), make_cells(mark))
    work.paths.update(["of the parent"])
    count_arrays()
else:
    work = Work(attach_tasks(mark), attach_cells(mark))


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    body = work.respond(environ["PATH_INFO"])
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
