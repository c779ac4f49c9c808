"""What measured numbers depend on: the machine, the Python, and the libraries."""

from __future__ import annotations

import os
import platform
import sys
import sysconfig
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from parcount._native import build
from parcount.kernels import VARIANTS, WORKLOADS
from parcount.kernels.job import count_part
from parcount.system.cores import cores


def gil_enabled() -> bool:
    """Whether this process holds a GIL now (a free-threaded Python can turn it on again)."""
    return getattr(sys, "_is_gil_enabled", lambda: True)()


def environment() -> dict[str, Any]:
    """Return the environment of this process as plain values; ``docs/result-file.md`` describes them."""
    limits = cores()
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "platform": platform.platform(),
        "cpu": _cpu(),
        "cores": {
            "available": limits.available,
            "parallel": limits.parallel,
            "reason": limits.reason,
            **limits._asdict(),
        },
        "python": {
            "version": platform.python_version(),
            "implementation": platform.python_implementation(),
            "build": " ".join(platform.python_build()),
            "compiler": platform.python_compiler(),
            "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
            "gil": gil_enabled(),
        },
        "compiler": build.compiler,
        "cython": build.cython,
        "versions": {name: _version(name) for name in ("parcount", "numpy", "numba", "llvmlite", "httpx")},
        "threading_layer": threading_layer(),
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
    }


def threading_layer() -> str | None:
    """Return the layer that has run Numba's parallel loops in this process, if any has."""
    if "parcount.kernels.numba_loops" not in sys.modules:
        return None
    from parcount.kernels import numba_loops

    return numba_loops.threading_layer()


def start_threading_layer() -> None:
    """Run a parallel loop of Numba, if installed: its layer is known only afterwards."""
    if VARIANTS["numba-parallel"].missing() is None:
        (part,) = WORKLOADS["increment"].make(1).split(1)
        count_part(WORKLOADS["increment"].kernels["numba-parallel"], part)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    """The processor's name, from Linux or from the platform module."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model", "cpu model"):
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
