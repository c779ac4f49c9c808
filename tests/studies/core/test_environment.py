from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

from parcount.kernels import VARIANTS
from parcount.studies.core import environment


def test_the_processor_is_named_where_the_system_has_no_file_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    read = Path.read_text

    def absent(path: Path, **keywords: Any) -> str:
        if path == Path("/proc/cpuinfo"):
            raise FileNotFoundError(path)
        return read(path, **keywords)

    assert environment.environment()["cpu"]
    monkeypatch.setattr(Path, "read_text", absent)
    assert environment.environment()["cpu"] == (platform.processor() or platform.machine())


def test_a_package_that_is_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(environment, "version", absent)
    assert set(environment.environment()["versions"].values()) == {None}


def test_numbas_layer_is_known_once_a_parallel_loop_has_run(monkeypatch: pytest.MonkeyPatch) -> None:
    environment.start_threading_layer()
    assert (environment.threading_layer() is None) == (VARIANTS["numba-parallel"].missing() is not None)
    monkeypatch.delitem(sys.modules, "parcount.kernels.numba_loops", raising=False)
    assert environment.threading_layer() is None
