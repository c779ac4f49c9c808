"""What tests of agents share."""

import base64
import pickle
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from textwrap import dedent
from typing import Any

from parcount.studies.scale.agent_process import AgentProcess

TIME_LIMIT = 60.0
"""Seconds that any answer may take on a busy machine."""

SHORT = 0.02
"""Seconds of a run."""

GIL = getattr(sys, "_is_gil_enabled", lambda: True)()


def start() -> Iterator[AgentProcess]:
    with AgentProcess([sys.executable]) as process:
        yield process


_numbers = count()
"""A file is loaded once by an agent."""


class Driver:
    """An agent with short requests."""

    def __init__(self, process: AgentProcess, folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.path = folder / "target.py"

    def load(self, target: dict[str, Any], **more: Any) -> dict[str, Any]:
        return self.process.ask({"do": "load", "target": target, "cwd": str(self.folder), **more}, TIME_LIMIT)

    def statement(self, statement: str, setup: str = "", **more: Any) -> dict[str, Any]:
        return self.load({"kind": "statement", "setup": dedent(setup), "statement": dedent(statement)}, **more)

    def file(
        self, source: str, name: str = "f", args: str | None = None, setup: str = "", **more: Any
    ) -> dict[str, Any]:
        self.path = self.folder / f"target_{next(_numbers)}.py"
        self.path.write_text(dedent(source))
        return self.load({"kind": "file", "path": str(self.path), "name": name, "args": args, "setup": setup}, **more)

    def pickled(self, function: Any, *args: Any, setup: Any = None, **kwargs: Any) -> dict[str, Any]:
        data = base64.b64encode(pickle.dumps((function, args, kwargs, setup))).decode()
        return self.load({"kind": "pickle", "data": data})

    def run(self, execution: str = "serial", workers: int = 1, **more: Any) -> dict[str, Any]:
        request = {"do": "run", "execution": execution, "workers": workers, "batch": 1, "seconds": SHORT, "at": None}
        return self.process.ask({**request, **more}, TIME_LIMIT)

    def calibrate(self, seconds: float = SHORT) -> dict[str, Any]:
        return self.process.ask({"do": "calibrate", "seconds": seconds}, TIME_LIMIT)

    def transport(self) -> dict[str, Any]:
        return self.process.ask({"do": "transport"}, TIME_LIMIT)

    def printed(self, execution: str = "serial", workers: int = 1, **more: Any) -> list[str]:
        """Call once in each worker; return the digits that were printed, sorted: threads print in any order."""
        return sorted("".join(self.run(execution, workers, seconds=0, **more)["printed_end"].split()))
