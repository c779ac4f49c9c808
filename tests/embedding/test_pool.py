"""`multiprocessing.Pool`."""

import json

import pytest

from tests.embedding.conftest import Start, on_linux
from tests.embedding.pool import LONGEST_LIFE, TASKS
from tests.embedding.work import check, done_by_process
from tests.execution.executions import SLOW


@on_linux
@pytest.mark.parametrize("method", ["fork", "forkserver", pytest.param("spawn", marks=SLOW)])
def test_pool(start: Start, method: str) -> None:
    program = start("tests.embedding.pool", method)
    program.ends(0)
    assert program.errors.read_text() == ""
    printed = json.loads(program.output.read_text())
    check(printed["answers"], range(3 * TASKS), 1, printed["tasks"], printed["cells"])
    assert max(done_by_process(printed["answers"][TASKS:]).values()) == LONGEST_LIFE
