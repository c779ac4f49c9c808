"""An agent in this process, for a function that cannot be sent to another."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from parcount.studies.scale.agent import Agent
from parcount.studies.scale.agent_process import AgentError


class LocalAgent:
    """Measures a function of this process, in its threads.

    The function is not kept apart: if it ends its process, that is this one, and a call that does not return is not
    given up.
    """

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._agent = Agent()
        self.hello = self.ask({"do": "hello"}, 0.0)

    def ask(self, request: Mapping[str, Any], timeout: float) -> dict[str, Any]:  # noqa: ARG002 - as that of a process
        """Answer a request, as `AgentProcess.ask` without a limit of time."""
        answer = self._agent.answer(request)
        if not answer["ok"]:
            raise AgentError(answer["error"].pop("message"), **answer["error"])
        return answer

    def close(self) -> None:
        """Do nothing: threads that wait for a task end with the process."""
