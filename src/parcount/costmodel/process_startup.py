"""What it takes to start workers in a Python that has started none before: measured in one.

The first processes of a Python also start what starts them (the fork server), which then stays: it can be measured once
in a Python, so a new one is made for it each time. It is a plain subprocess because multiprocessing's own may have no
children.
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
"""Seconds that starting a few processes may take."""


def measure_startup(workers: int) -> tuple[float, float, float]:
    """Start processes in a new Python.

    Parameters
    ----------
    workers : int
        How many at the third time.

    Returns
    -------
    first, again, several : float
        Seconds by which new workers' first answer comes later than a warm one: of the first worker ever, of another
        one, and of so many.

    Raises
    ------
    OSError
        If the new Python fails; with what it said.
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
        raise OSError(f"no processes can be started from a new Python: {ran.stderr.strip()}")
    first, again, several = json.loads(ran.stdout)
    return first, again, several


def main() -> None:
    """Print the three times, as JSON."""
    workers = int(sys.argv[2])
    print(json.dumps([_later(1), _later(1), _later(workers)]))


def _later(workers: int) -> float:
    start = perf_counter()
    with Processes(workers) as processes:
        processes.map(abs, [0] * workers)
        first = perf_counter() - start
        start = perf_counter()
        processes.map(abs, [0] * workers)
        return max(0.0, first - (perf_counter() - start))
