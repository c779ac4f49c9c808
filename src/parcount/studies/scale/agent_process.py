"""Starts agents, the processes that run the user's target, and talks to them."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

AGENT = Path(__file__).with_name("agent.py")

START_TIMEOUT = 60.0
"""Seconds within which an interpreter has to start."""

END_TIMEOUT = 2.0
"""Seconds within which an agent has to end after it was asked to; then it is killed."""

GROUP_TIMEOUT = 0.5
"""Seconds that processes which the target has started have to end after SIGTERM; then they are killed."""

POLL_INTERVAL = 0.2
"""Seconds between looks at whether a process lives. Its pipe tells too, unless a forked process holds that."""

# Runs under any Python, also one that cannot compile the agent. The agent is no __main__, which belongs to the target.
_BOOTSTRAP = """
import sys
def start(path):
    name = getattr(getattr(sys, "implementation", None), "name", "cpython")
    version = "%d.%d.%d" % tuple(sys.version_info[:3])
    if name != "cpython" or sys.version_info < (3, 9):
        sys.stdout.write('{"refused": "%s %s"}' % (name, version) + chr(10))
        return
    from importlib.util import module_from_spec, spec_from_file_location
    spec = spec_from_file_location("_parcount_agent", path)
    sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules[spec.name])
    sys.modules[spec.name].main()
start(sys.argv.pop())
"""


class AgentError(Exception):
    """The target raised, or cannot be measured so.

    Attributes
    ----------
    type : str
        The name of the exception's class.
    message : str
        Its message.
    traceback : str
        The formatted traceback, of the target's own frames; empty if there is none.
    where : str
        Where it was raised: ``"worker 2 of 4 on threads"``, ``"setup"``.
    """

    def __init__(self, message: str, *, type: str = "AgentError", traceback: str = "", where: str = "") -> None:  # noqa: A002 - as the attribute
        super().__init__(message)
        self.type = type
        self.message = message
        self.traceback = traceback
        self.where = where


class AgentDied(AgentError):
    """The process of the agent ended."""


class AgentTimeout(AgentError):
    """There was no answer within the time; the process has been killed."""


class AgentProcess:
    """A process that runs a target and measures it.

    The process has a session of its own: Ctrl-C at the terminal does not reach it, and what the target starts is killed
    with it. Times in requests and answers are those of `parcount.studies.scale.agent.clock`.

    Parameters
    ----------
    python : sequence of str
        The interpreter, with its options.
    cwd : path, optional
        The directory of the process.
    environment : mapping, optional
        Its environment; that of this process by default.

    Raises
    ------
    AgentError
        If the interpreter does not start, is not CPython, or is older than 3.9.
    """

    hello: dict[str, Any]

    def __init__(
        self,
        python: Sequence[str],
        *,
        cwd: str | os.PathLike[str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._python = python[0]
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._answers: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._asked = ""
        self._waits = False  # for an answer
        self._number = 0  # of the request
        self._death: AgentDied | None = None
        separate: dict[str, Any] = (
            {"creationflags": 0x200}  # CREATE_NEW_PROCESS_GROUP
            if sys.platform == "win32"
            else {"start_new_session": True}
        )
        try:
            self._process = subprocess.Popen(
                [*python, "-c", _BOOTSTRAP, os.fspath(AGENT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._output,
                cwd=cwd,
                env=environment,
                **separate,
            )
        except (OSError, ValueError) as error:
            self._output.close()
            reason = getattr(error, "strerror", None) or str(error)
            raise AgentError(f"{self._python} does not start: {reason}", type=type(error).__name__) from None
        self.pid = self._process.pid
        self._reader = threading.Thread(target=self._read, name="answers of an agent", daemon=True)
        self._reader.start()
        try:
            self.hello = self.ask({"do": "hello"}, START_TIMEOUT)
        except AgentDied as error:
            self.close()
            raise AgentError(
                f"{self._python} does not start as a Python: {error.traceback.strip()[-500:] or error.message}"
            ) from None
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def ask(self, request: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        """Send a request and return its answer.

        Parameters
        ----------
        request : mapping
            The request.
        timeout : float
            Seconds to wait for the answer.

        Returns
        -------
        dict
            The answer.

        Raises
        ------
        AgentError
            If the target raised, or cannot be measured so. The agent can be asked again.
        AgentDied
            If the process ended.
        AgentTimeout
            If there was no answer within the time. The process has been killed.
        """
        self.send(request)
        return self.receive(timeout)

    def send(self, request: Mapping[str, Any]) -> None:
        """Send a request, whose answer `receive` returns.

        Parameters
        ----------
        request : mapping
            The request.
        """
        self._asked, self._waits, self._number = str(request.get("do")), True, self._number + 1
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({**request, "id": self._number}).encode() + b"\n")
            self._process.stdin.flush()
        except (OSError, ValueError):  # the next answer tells how it ended
            pass

    def receive(self, timeout: float) -> dict[str, Any]:
        """Return the answer to the request that was sent.

        Parameters
        ----------
        timeout : float
            Seconds to wait for it.

        Returns
        -------
        dict
            The answer; see `ask` for what is raised.
        """
        end = time.monotonic() + timeout
        while self._death is None:
            left = end - time.monotonic()
            try:
                answer = self._answers.get(timeout=max(0.0, min(left, POLL_INTERVAL)))
                if answer is None or "refused" in answer or answer.get("id") == self._number:
                    break  # others answer a request whose answer was not received, because of Ctrl-C
            except queue.Empty:
                if self._process.poll() is not None:
                    self._reader.join(POLL_INTERVAL)  # for an answer that is in the pipe
                    if self._answers.empty():
                        self._death = self._explain_death()
                elif left <= 0:
                    self._death = AgentDied("the process was killed, because it did not answer", where=self._asked)
                    self._kill()
                    raise AgentTimeout(
                        f"there was no answer within {timeout:g} s", type="TimeoutError", where=self._asked
                    ) from None
        else:
            raise self._death
        self._waits = False
        if answer is None:
            self._death = self._explain_death()
            raise self._death
        if "refused" in answer:
            name, version = answer["refused"].split()
            raise AgentError(
                f"{self._python} is Python {version}: CPython 3.9 or newer is required"
                if name == "cpython"
                else f"{self._python} is {name}: CPython is required",
                type="NotImplementedError",
            )
        if not answer["ok"]:
            raise AgentError(answer["error"].pop("message"), **answer["error"])
        return answer

    def close(self) -> None:
        """End the process, and kill what is left of it and of what the target has started."""
        if self._process.poll() is None and not self._waits:
            self.send({"do": "end"})
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(END_TIMEOUT)
        self._death = self._death or AgentDied("the process was closed")
        self._kill()
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        # A process that has left the session may hold the pipe: the reader is not waited for without limit.
        self._reader.join(END_TIMEOUT)
        self._output.close()

    def _kill(self) -> None:
        """Kill the process, and end what it has started.

        Others of its group get time to end: multiprocessing's resource tracker, which SIGTERM does not end, removes the
        shared memory that the target has left.
        """
        if sys.platform == "win32":
            if self._process.poll() is None:
                subprocess.run(["taskkill", "/T", "/F", "/PID", str(self.pid)], capture_output=True, check=False)
        else:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(END_TIMEOUT)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGTERM)
                end = time.monotonic() + GROUP_TIMEOUT
                while time.monotonic() < end:
                    os.killpg(self.pid, 0)
                    time.sleep(0.005)
                os.killpg(self.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_TIMEOUT)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                try:
                    answer = json.loads(line)
                except ValueError:  # an interpreter may print something at its start
                    continue
                if isinstance(answer, dict):
                    self._answers.put(answer)
        self._answers.put(None)

    def _explain_death(self) -> AgentDied:
        """Return the error that tells how the process ended."""
        try:
            code = self._process.wait(END_TIMEOUT)
        except subprocess.TimeoutExpired:  # it has closed the pipe
            self._kill()
            return AgentDied("the function closed the descriptors of its process", type="OSError", where=self._asked)
        if code >= 0:
            message = f"the function ended its process with exit code {code}"
        else:
            try:
                name = signal.Signals(-code).name
            except ValueError:
                name = f"signal {-code}"
            message = f"was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
            message = f"the process of the function {message}"
        self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, self._output.tell() - 4000))
        printed = self._output.read().decode(errors="replace")
        return AgentDied(message, type="AgentDied", traceback=printed, where=self._asked)
