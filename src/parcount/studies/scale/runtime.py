"""One Python with its agents: the process that runs threads, and the worker processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from parcount.studies.scale.agent import clock
from parcount.studies.scale.agent_process import AgentDied, AgentError, AgentProcess, AgentTimeout
from parcount.studies.scale.local_agent import LocalAgent
from parcount.studies.scale.pythons import Python
from parcount.studies.scale.target import Target
from parcount.system.cores import parallel_cores

TARGET, RELEASED, HELD, MEMORY = "target", "released", "held", "memory"
"""What an agent runs: the target, and loops that need nothing from it: without the GIL, with it, bound by memory."""

CONTROLS = (RELEASED, HELD, MEMORY)

SHARED, PRIVATE = "shared: ", "private: "
"""What begins the name of the target with an object that all threads share, or that is private to each."""

WARM = 0.005
"""Seconds of short calls before the measurement, in which threads get the GIL and caches fill."""

LEAD = 0.004
"""Seconds from the request to the start of the workers: all have read the request and sleep by then."""


@dataclass(frozen=True)
class Timing:
    """What calibration knows of one call, in seconds.

    Attributes
    ----------
    call, cpu : float
        Its duration, and its CPU time.
    overhead : float
        What the loop around it takes.
    batch : int
        Calls between two looks at the clock.
    """

    call: float
    cpu: float
    overhead: float
    batch: int


@dataclass(frozen=True)
class Run:
    """One run of some workers. `evidence` is for one call, or a share, or the bytes of one worker."""

    seconds: float
    calls: int
    cpu: float
    evidence: Mapping[str, float]

    @property
    def per_call(self) -> float:
        """Seconds from one call's end to that of the next, of all workers together."""
        return self.seconds / self.calls


class Runtime:
    """A Python that measures a target; a context manager.

    An agent that has died, or was killed because it did not answer, is replaced when the next run needs it.

    Parameters
    ----------
    python : Python
        Which.
    target : Target
        What it loads.
    options : mapping
        ``shared`` and ``fresh``, as `Options` has them.
    timeout : float
        Seconds after which a call is given up.
    memory_bytes : int
        Size of the array of each worker of the control that is bound by memory.
    """

    def __init__(
        self, python: Python, target: Target, options: Mapping[str, bool], timeout: float, memory_bytes: int
    ) -> None:
        self.python = python
        self.loaded: dict[str, Any] = {}
        self.timings: dict[str, Timing] = {}
        self._target = target
        self._options = options
        self._timeout = timeout
        self._memory_bytes = memory_bytes
        self.remarks: set[str] = set()
        self._main: _Agent | None = None
        self._workers: list[_Agent] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end_processes()
        if self._main is not None:
            self._main.close()
            self._main = None

    @property
    def hello(self) -> dict[str, Any]:
        """What the agent says of its Python."""
        hello: dict[str, Any] = self._agent().process.hello
        return hello

    def pids(self) -> list[int]:
        """Return the ids of all agents."""
        agents = [*self._workers, *([] if self._main is None else [self._main])]
        return [agent.process.pid for agent in agents]

    def load(self, seconds: float, workloads: Sequence[str]) -> None:
        """Load the target, then time a call of it and of the controls, of which each that fails is left out.

        Raises
        ------
        AgentError
            If the target cannot be loaded or called.
        """
        agent = self._agent()
        self.loaded = agent.load(TARGET)
        self.timings[TARGET] = self._calibrate(agent, TARGET, seconds)
        for workload in workloads:
            with suppress(AgentError):
                agent.load(workload)
                self.timings[workload] = self._calibrate(agent, workload, seconds)

    def _calibrate(self, agent: _Agent, workload: str, seconds: float) -> Timing:
        answer = agent.ask({"do": "calibrate", "of": workload, "seconds": seconds}, self._timeout + seconds)
        if workload == TARGET:
            self._remark(answer)
        cpu = answer["call"] if answer["cpu"] is None else answer["cpu"]
        return Timing(answer["call"], cpu, answer["overhead"], answer["batch"])

    def _remark(self, answer: Mapping[str, Any]) -> None:
        """Keep what the target has done beside its work."""
        if answer.get("printed"):
            self.remarks.add("It prints. What it printed was discarded.")
        if answer.get("changed_directory"):
            self.remarks.add("It changes the directory, which was changed back after each run.")

    def transport(self) -> dict[str, Any]:
        """Return the bytes of the arguments and the result of one call, and the seconds to send them both.

        Raises
        ------
        AgentError
            If they cannot be pickled.
        """
        answer = self._agent().ask({"do": "transport", "of": TARGET}, self._timeout + 5)
        return {name: answer[name] for name in ("argument_bytes", "result_bytes", "seconds")}

    def run(self, workload: str, execution: str, workers: int, seconds: float, **sharing: Any) -> Run:
        """Let workers call a workload for some time, all from the same moment on.

        Raises
        ------
        AgentError
            If a call raises, does not return, or ends its process.
        """
        timing = self.timings[workload]
        request = {
            "do": "run",
            "of": workload,
            "execution": execution,
            "workers": workers,
            "batch": timing.batch,
            "seconds": seconds,
            "core": 0 if workers <= parallel_cores() else None,
            "warm": WARM if timing.batch * timing.call < WARM else 0.0,
            "probe": True,
            **sharing,
        }
        limit = self._timeout + seconds
        if execution != "processes":
            agent = self._agent()
            agent.load(workload)
            answer = agent.ask({**request, "at": clock() + LEAD}, limit)
            self._remark(answer)
            return _combine([answer])
        agents = self._processes(workers, workload)
        start = clock() + LEAD + 0.0005 * workers
        message = {**request, "execution": "serial", "workers": 1, "at": start}
        try:
            for core, one in enumerate(agents):
                one.process.send({**message, "core": None if message["core"] is None else core})
            return _combine([one.process.receive(limit) for one in agents])
        except AgentError as error:
            self.end_processes()  # others have not been received
            error.where = f"{len(agents)} processes" if len(agents) > 1 else "a process"
            raise

    def end_processes(self) -> None:
        """End the worker processes. The next run on processes starts new ones."""
        for agent in self._workers:
            agent.close()
        self._workers = []

    def _agent(self) -> _Agent:
        if self._main is None or self._main.ended:
            self._main = self._start(LocalAgent() if self._target.unsent else AgentProcess(self.python.words))
        return self._main

    def _processes(self, count: int, workload: str) -> list[_Agent]:
        """Return some workers that have loaded a workload, and start those that lack, all at the same time."""
        if workload == TARGET and self._target.unsent:
            raise AgentError(self._target.unsent, type="TypeError")
        self._workers = [agent for agent in self._workers if not agent.ended]
        while len(self._workers) < count:
            self._workers.append(self._start(AgentProcess(self.python.words)))
        chosen = self._workers[:count]
        lacking = [agent for agent in chosen if workload not in agent.loaded]
        try:
            for agent in lacking:
                agent.process.send(agent.load_request(workload))
            for agent in lacking:
                agent.loaded[workload] = agent.process.receive(self._timeout)
                agent.process.send({"do": "prepare", "of": workload, "execution": "serial", "workers": 1})
            for agent in lacking:
                agent.process.receive(self._timeout)
        except AgentError:
            self.end_processes()
            raise
        return chosen

    def _start(self, process: Any) -> _Agent:
        return _Agent(
            process,
            self._target,
            {**self._options, "bytes": self._memory_bytes},
            self._timeout,
        )


class _Agent:
    """An agent, an `AgentProcess` or a `LocalAgent`, and what it has loaded."""

    def __init__(self, process: Any, target: Target, options: Mapping[str, Any], timeout: float) -> None:
        self.process = process
        self.loaded: dict[str, dict[str, Any]] = {}
        self.ended = False
        self._target = target
        self._options = options
        self._timeout = timeout

    def load_request(self, workload: str) -> dict[str, Any]:
        if workload == TARGET:
            target, options = self._target.request, self._options
        else:
            target = {"kind": "control", "name": workload, "bytes": self._options["bytes"]}
            options = {"shared": False, "fresh": False}
        return {
            "do": "load",
            "as": workload,
            "target": target,
            "path": self._target.path,
            "cwd": str(Path.cwd()),
            "shared": options["shared"],
            "fresh": options["fresh"],
        }

    def load(self, workload: str) -> dict[str, Any]:
        if workload not in self.loaded:
            self.loaded[workload] = self.ask(self.load_request(workload), self._timeout)
        return self.loaded[workload]

    def ask(self, request: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self.process.ask(dict(request), timeout)
        except (AgentDied, AgentTimeout):
            self.ended = True
            raise
        return answer

    def close(self) -> None:
        self.ended = True
        self.process.close()


def _combine(answers: Sequence[Mapping[str, Any]]) -> Run:
    """Return one run from the answers of one agent, or of one for each worker process."""

    def every(name: str) -> list[float]:
        return [one for answer in answers for one in answer[name] if one is not None]

    calls = sum(every("calls"))
    seconds = max(every("ended")) - min(every("begun"))
    busy, spans = every("busy"), [end - begin for begin, end in zip(every("begun"), every("ended"), strict=True)]
    if sum(busy) < 0.999 * sum(spans):  # a setup before each call is not part of the work
        seconds = calls / sum(count / span for count, span in zip(every("calls"), busy, strict=True))
    workers = len(spans)
    evidence: dict[str, float] = {}

    def add(name: str, values: Sequence[float], transform: Callable[[float], float]) -> None:
        if values:
            evidence[name] = transform(sum(values))

    cpu = sum(every("cpu"))
    add("cpu", every("cpu"), lambda total: total / calls)
    add("cores_busy", every("cpu"), lambda total: total / seconds)
    for name in ("ready", "voluntary", "involuntary", "minor_faults", "major_faults"):
        add(name, every(name), lambda total: total / calls)
    probes = [answer["gil"] for answer in answers if answer.get("gil")]
    if total := sum(probe["probes"] for probe in probes):
        evidence["gil_held"] = sum(probe["held"] for probe in probes) / total
        evidence["gil_wait"] = sum(probe["wait"] for probe in probes) / total
    add("memory", [one["memory"] for one in answers if one["memory"]], lambda total: total / workers)
    return Run(seconds, int(calls), cpu, evidence)
