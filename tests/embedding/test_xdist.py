"""pytest-xdist."""

import re
from pathlib import Path

import pytest

from tests.embedding.conftest import Start, on_linux
from tests.embedding.work import cells_after


@on_linux
@pytest.mark.slow
def test_xdist(start: Start, tmp_path: Path) -> None:
    settings = tmp_path / "pytest.ini"
    settings.write_text("[pytest]\n")
    program = start(
        "pytest",
        "--numprocesses=2",
        "--noconftest",
        f"--config-file={settings}",
        f"--rootdir={tmp_path}",
        "-p",
        "xdist",
        "-p",
        "tests.embedding.xdist_plugin",
        str(Path(__file__).with_name("xdist_tests.py")),
        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
    )
    program.ends(1)
    output = program.output.read_text()
    assert "1 failed, 20 passed" in output
    assert re.search("worker 'gw[01]' crashed while running '.*::test_crash'", output)
    assert "\ntasks: 21\n" in output
    assert f"\ncells: {cells_after(range(20), 1)}\n" in output
    assert program.errors.read_text() == ""
