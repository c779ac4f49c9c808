"""Measure the start-up time of worker processes in a new interpreter.

The first processes of an interpreter also start the fork server, which then stays, so each measurement needs a new
interpreter. It is a plain subprocess, because daemonic processes of multiprocessing cannot have children.
"""

from __future__ import annotations

import json
import subprocess
import sys
from time import perf_counter

from parcount.execution.processes.execution import Processes

SCRIPT = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from parcount.costmodel.process_startup import main
main()
"""

LIMIT = 120.0
"""Time limit in seconds."""


def measure_startup(workers: int) -> tuple[float, float, float]:
    """Start processes in a new interpreter; OSError if that fails.

    Returns
    -------
    first, again, several : float
        Seconds from the start to the first result, less the time of a result of running workers: for the first worker,
        for another one, and for `workers`.
    """
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(sys.path), str(workers)],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if ran.returncode:
        raise OSError(f"a new interpreter could not start processes: {ran.stderr.strip()}")
    first, again, several = json.loads(ran.stdout)
    return first, again, several


def main() -> None:
    """Print the three times as JSON."""
    workers = int(sys.argv[2])
    print(json.dumps([_startup_seconds(1), _startup_seconds(1), _startup_seconds(workers)]))


def _startup_seconds(workers: int) -> float:
    start = perf_counter()
    with Processes(workers) as processes:
        processes.map(abs, [0] * workers)
        first = perf_counter() - start
        start = perf_counter()
        processes.map(abs, [0] * workers)
        return max(0.0, first - (perf_counter() - start))
