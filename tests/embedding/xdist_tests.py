"""Tests that pytest-xdist's workers run with the plugin of `tests.embedding.xdist_plugin`."""

import pytest

from tests.embedding import xdist_plugin


@pytest.mark.parametrize("task", range(20))
def test_task(pytestconfig: pytest.Config, task: int) -> None:
    work = pytestconfig.stash[xdist_plugin.work]
    answer = work.do(task)
    assert (answer["threads"], work.paths[f"/{task}"]) == (2, 1)


def test_crash(pytestconfig: pytest.Config) -> None:
    pytestconfig.stash[xdist_plugin.work].die()
