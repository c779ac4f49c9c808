from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from parcount.studies.scale.pythons import find_pythons, own_python

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}{'t' if 't' in sys.abiflags else ''}"


def test_this_python() -> None:
    own = own_python()
    assert own.own
    assert own.words[0] == sys.executable
    assert own.label.startswith(VERSION)


def test_a_path_and_a_folder_of_an_environment() -> None:
    found, missing = find_pythons([sys.executable, sys.prefix])
    assert not missing
    labels = [python.label for python in found]
    assert labels[0] == VERSION
    assert len(set(labels)) == len(labels)  # the second is told apart by more of its version
    rows = 2 if "t" in VERSION else 1  # a free-threaded build has one row without the GIL, and one with it
    assert len(found) == 2 * rows
    assert (
        [python.words[1:] for python in found[:rows]] == [(), ()][:1]
        if rows == 1
        else [
            ("-X", "gil=0"),
            ("-X", "gil=1"),
        ]
    )


def test_what_is_no_python(tmp_path: Path) -> None:
    script = tmp_path / "python9.9"
    script.write_text("#!/bin/sh\necho no such version >&2\nexit 127\n")
    script.chmod(0o755)
    found, missing = find_pythons([str(script), "nosuchpython", "9.9", str(tmp_path)])
    assert not found
    assert "no such version" in missing[str(script)]
    assert missing["nosuchpython"] == missing["9.9"] == "there is no such command, version or path"


def test_a_version_is_found_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, working = tmp_path / "broken", tmp_path / "working"
    for folder, target in ((broken, None), (working, sys.executable)):
        folder.mkdir()
        path = folder / "python8.8"
        if target is None:
            path.write_text("#!/bin/sh\nexit 127\n")
            path.chmod(0o755)
        else:
            path.symlink_to(target)
    monkeypatch.setenv("PATH", os.pathsep.join([str(working)]))
    found, missing = find_pythons(["8.8", "python8.8"])
    assert not missing
    assert all(Path(python.words[0]).name == "python8.8" for python in found)
    monkeypatch.setenv("PATH", str(broken))
    assert [*find_pythons(["8.8"])[1]] == ["8.8"]
