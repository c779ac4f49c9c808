"""``parcount info``: what numbers depend on."""

from __future__ import annotations

import argparse
import json
from typing import Any


def add_to(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "info",
        help="what numbers depend on here: cores, GIL, build, threading layer, versions",
        description="Print what numbers depend on: the cores available and why no more, the GIL, the build, Numba's "
        "threading layer, versions.",
    )
    parser.set_defaults(command=_info, parser=parser)
    parser.add_argument("--json", action="store_true", help="as one JSON object")


def _info(words: argparse.Namespace) -> int:
    from parcount.kernels.info import kernel_info
    from parcount.studies.core.environment import environment, start_threading_layer

    start_threading_layer()
    found = environment()
    if words.json:
        kernels = {name: kernel._asdict() for name, kernel in kernel_info().items()}
        print(json.dumps({**found, "kernels": kernels}, indent=1))
        return 0
    cores, python = found["cores"], found["python"]
    gil = "held" if python["gil"] else "none"
    if python["free_threaded"] and python["gil"]:
        gil = "held, on a free-threaded build (PYTHON_GIL=1, or a module asked for it)"
    rows = {
        "cores": f"{cores['available']} available: {cores['reason']}",
        "CPU": found["cpu"],
        "platform": found["platform"],
        "Python": f"{python['version']} ({python['implementation']}, {python['build']}, {python['compiler']})",
        "GIL": gil,
        "compiled by": f"{found['compiler']}, Cython {found['cython']}",
        **{f"kernel {name}": kernel.implementation for name, kernel in kernel_info().items()},
        "Numba's layer": found["threading_layer"] or "none: Numba is not installed",
        "load average": " ".join(f"{load:.2f}" for load in found["load_average"] or []) or "unknown here",
        **{name: number or "not installed" for name, number in found["versions"].items()},
    }
    width = max(len(name) for name in rows)
    for name, value in rows.items():
        print(f"{name:<{width}}  {value}")
    return 0
