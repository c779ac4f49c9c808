"""What `parcount scale` adds to the times that it measures: ``python bench/scale_overhead.py``.

An agent runs each function with the probe of the GIL and without it, in interleaved and shuffled rounds. What the
system counts is read outside the measured time. For each function and execution the script prints medians of the
rounds: by how much the probe lengthens a call, in time and in CPU time of the workers, which depends less on what else
the machine does; and the share of a call that the loop around it takes. ``--json FILE`` saves the samples; with
``--check`` the exit code is non-zero if the whole interval of an increase of the time, or the loop's share, is above
1 %.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path
from typing import Any

from parcount.studies.core.environment import environment
from parcount.studies.core.statistics import Estimate, estimate
from parcount.studies.scale.agent import clock
from parcount.studies.scale.agent_process import AgentProcess

MOST = 0.01
TIME_LIMIT = 60.0

FUNCTIONS = {
    "holds the GIL": ("", "for number in range(30_000): number * number"),
    "releases the GIL": ("import hashlib; data = bytes(1_000_000)", "hashlib.sha256(data)"),
    "sleeps": ("import time", "time.sleep(0.001)"),
}
"""Setup and statement, of about a millisecond."""

EXECUTIONS = {"serial": 1, "threads": 2}


def load(agent: AgentProcess, name: str) -> dict[str, Any]:
    """Load a function; return its calibration."""
    setup, statement = FUNCTIONS[name]
    target = {"kind": "statement", "setup": setup, "statement": statement}
    agent.ask({"do": "load", "as": name, "target": target, "path": [], "shared": False, "fresh": False}, TIME_LIMIT)
    return agent.ask({"do": "calibrate", "of": name, "seconds": 0.1}, TIME_LIMIT)


def measured(agent: AgentProcess, request: dict[str, Any]) -> dict[str, float]:
    """Seconds and CPU seconds of a call; of workers that run at once, the mean."""
    answer = agent.ask({"do": "run", "at": clock() + 0.02, **request}, TIME_LIMIT)
    calls = sum(answer["calls"])
    return {what: sum(answer[what]) / calls for what in ("busy", "cpu")}


def main() -> int:
    """Measure, print and save; return 1 if an increase is too large and that is checked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=0.1, help="of one sample")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    order = random.Random(0)
    samples: dict[tuple[str, str, bool], list[dict[str, float]]] = {}
    with AgentProcess([sys.executable]) as agent:
        calibrations = {name: load(agent, name) for name in FUNCTIONS}
        cells = [(name, how, probe) for name in FUNCTIONS for how in EXECUTIONS for probe in (False, True)]
        for number in range(options.rounds + 1):
            for name, how, probe in order.sample(cells, len(cells)):
                request = {"of": name, "execution": how, "workers": EXECUTIONS[how], "probe": probe}
                request |= {"batch": calibrations[name]["batch"], "seconds": options.seconds}
                sample = measured(agent, request)
                if number:  # the first one warms up
                    samples.setdefault((name, how, probe), []).append(sample)
    kept = True
    rows: list[dict[str, Any]] = []
    print(f"{'':<18}{'':<9}{'time':>9}{'':>19}{'CPU time':>13}{'':>19}{'loop':>10}")
    for name, calibration in calibrations.items():
        loop = calibration["overhead"] / calibration["call"]
        for how in EXECUTIONS:
            pairs = list(zip(samples[name, how, False], samples[name, how, True], strict=True))
            time, cpu = (
                estimate([probed[what] / plain[what] - 1 for plain, probed in pairs]) for what in ("busy", "cpu")
            )
            kept &= time.low <= MOST and loop <= MOST
            rows.append({"function": name, "execution": how, "time": vars(time), "cpu": vars(cpu), "loop": loop})
            print(f"{name:<18}{how:<9}{percent(time)}  {percent(cpu)}{100 * loop:8.3f} %")
    if options.json:
        cells = [
            {"function": name, "execution": how, "probe": probe, "samples": taken}
            for (name, how, probe), taken in samples.items()
        ]
        written = {"environment": environment(), "rows": rows, "measured": cells}
        options.json.write_text(json.dumps(written, indent=1) + "\n")
    return 0 if kept or not options.check else 1


def percent(value: Estimate) -> str:
    """Show an increase with its interval."""
    return f"{100 * value.median:7.2f} %  [{100 * value.low:6.2f} to {100 * value.high:6.2f}]"


if __name__ == "__main__":
    sys.exit(main())
