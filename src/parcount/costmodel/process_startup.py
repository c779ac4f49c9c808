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
from parcount.costmodel.process_startup import startup_seconds
print(json.dumps([startup_seconds(workers) for workers in (1, 1, int(sys.argv[2]))]))
"""

TIME_LIMIT = 120.0


def measure_startup(workers: int) -> tuple[float, float, float]:
    """Return the `startup_seconds` of the first worker of a new interpreter, of another, and of `workers`.

    Raises
    ------
    OSError
        If the new interpreter fails; with its error output.
    """
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(sys.path), str(workers)],
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if ran.returncode:
        raise OSError(f"a new interpreter could not start processes: {ran.stderr.strip()}")
    first, again, several = json.loads(ran.stdout)
    return first, again, several


def startup_seconds(workers: int) -> float:
    """Return the seconds from starting processes to their first results, less those of a second call."""
    start = perf_counter()
    with Processes(workers) as processes:
        processes.map(abs, [0] * workers)
        first = perf_counter() - start
        start = perf_counter()
        processes.map(abs, [0] * workers)
        return max(0.0, first - (perf_counter() - start))
