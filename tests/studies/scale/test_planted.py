from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from parcount.studies.scale.agent_process import AgentProcess
from tests.conftest import GIL
from tests.remote import TIME_LIMIT

if sys.platform != "linux":
    pytest.skip("the planted functions use files and cores as Linux has them", allow_module_level=True)

from tests.studies.scale.planted import CAUSES, PLANTED, Planted, limited_cores, measure, surroundings, truth

SECONDS = 7
"""What the measurement of one function may take."""


@pytest.fixture(scope="module", autouse=True)
def _surroundings() -> Iterator[None]:
    with surroundings():
        yield


@pytest.fixture(scope="module")
def agent(_surroundings: None) -> Iterator[AgentProcess]:
    with AgentProcess([sys.executable]) as process:
        yield process


@pytest.mark.parametrize("gil", [True, False])
def test_each_cause_is_planted_twice(gil: bool) -> None:
    truths = [planted.truth(gil=gil, memory=0) for planted in PLANTED.values()]
    for cause in CAUSES - {"undecided"} - (set() if gil else {"gil", "startup"}):
        assert sum(cause in true.first for true in truths) >= 2, cause


@pytest.mark.parametrize(
    ("causes", "verdict"),
    [
        (["startup"], "right"),
        (["startup", "lock"], "right"),
        (["gil", "startup"], "right"),
        (["gil"], "wrong"),
        (["lock", "startup"], "wrong"),
        (["startup", "memory"], "wrong"),
        (["undecided", "memory"], "undecided"),
        ([], "undecided"),
    ],
)
def test_what_is_right(causes: list[str], verdict: str) -> None:
    assert truth("gil startup", "lock", named="startup").verdict(causes) == verdict


@pytest.mark.parametrize("planted", PLANTED.values(), ids=PLANTED)
def test_two_threads_call_it(planted: Planted, agent: AgentProcess) -> None:
    asked = {"of": planted.name, "execution": "threads", "workers": 2, "batch": 1, "seconds": 0.01, "at": None}
    agent.ask({"do": "load", "target": planted.target(), "as": planted.name}, TIME_LIMIT)
    assert all(calls >= 1 for calls in agent.ask({"do": "run", **asked}, TIME_LIMIT)["calls"])


def scaled(planted: Planted, file: Path) -> list[str]:
    """Return the causes that `parcount scale` names, or how it failed."""
    command = [sys.executable, "-m", "parcount", "scale", "--seconds", str(SECONDS), "--json", str(file)]
    command += ["--workers", "1,2"] if planted.cores == 1 else []
    with limited_cores(planted.cores):
        done = subprocess.run(
            [*command, *planted.arguments()], capture_output=True, text=True, timeout=60 + SECONDS, check=False
        )
    if done.returncode:
        return [f"exit code {done.returncode}: {(done.stdout + done.stderr)[-500:]}"]
    causes: list[dict[str, Any]] = json.loads(file.read_text())["verdict"]["causes"]
    return [cause["cause"] for cause in causes]


@pytest.mark.measures
@pytest.mark.timeout(900)
def test_causes_are_found(tmp_path: Path) -> None:
    released, memory = (
        measure({"kind": "control", "name": name, "bytes": 2**26})["processes"]["rate"]
        for name in ("released", "memory")
    )
    print(f"two processes: {released:.2f}x, where memory limits them {memory:.2f}x")
    verdicts = []
    for name, planted in PLANTED.items():
        true = planted.truth(gil=GIL, memory=memory / released)
        causes = scaled(planted, tmp_path / f"{name}.json")
        verdicts.append(true.verdict(causes))
        print(f"{verdicts[-1]:10} {name:24} expected {true}; found {', '.join(causes)}", flush=True)
    assert "wrong" not in verdicts
    assert verdicts.count("right") >= 0.95 * len(verdicts)
