"""Has pytest-xdist's controller own the counters, whose names the workers get: a plugin for pytest."""

import os

import pytest

from tests.embedding.work import MARK, Work, attach_cells, attach_tasks, count_arrays, make_cells, make_tasks

work = pytest.StashKey[Work]()


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        mark = config.workerinput["mark"]
        config.stash[work] = Work(attach_tasks(mark), attach_cells(mark))
    else:
        mark = os.environ[MARK]
        config.stash[work] = Work(make_tasks(mark), make_cells(mark))
        count_arrays()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: pytest.Item) -> None:
    node.workerinput["mark"] = os.environ[MARK]  # type: ignore[attr-defined]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    counted = config.stash[work]
    terminalreporter.write_line(f"tasks: {counted.tasks.value}")
    terminalreporter.write_line(f"cells: {counted.cells.values().tolist()}")
