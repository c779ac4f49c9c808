"""The study of the user's own function: what more workers do with it, in one Python or several."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from tempfile import gettempdir
from time import perf_counter
from typing import Any, ClassVar

from parcount.studies.core.analysis import FAILED, NOT_INSTALLED, NOT_SUPPORTED
from parcount.studies.core.cells import Cell, Sample
from parcount.studies.core.claims import Verdict
from parcount.studies.core.experiment import CellFailed, Experiment
from parcount.studies.core.findings import Findings
from parcount.studies.core.options import Options, doublings, names, worker_counts
from parcount.studies.core.registry import SCALE
from parcount.studies.scale import verdict
from parcount.studies.scale.agent_process import AgentError, AgentTimeout
from parcount.studies.scale.causes import diagnose
from parcount.studies.scale.pythons import Python, find_pythons, own_python
from parcount.studies.scale.runs import WAITING
from parcount.studies.scale.runtime import CONTROLS, HELD, PRIVATE, RELEASED, SHARED, TARGET, Runtime, Timing
from parcount.studies.scale.target import Target
from parcount.system.cores import parallel_cores
from parcount.system.memory import free_memory, last_cache

EXECUTIONS = ("serial", "threads", "processes", "interpreters", "asyncio")

SECONDS = 25.0
"""Seconds for each Python after which the answer is given; it is given earlier if everything is decided."""

TIMEOUT = 60.0
"""Seconds after which a call that has not returned is given up."""

BEYOND = 16
"""Workers for which no core is needed."""

MOST_SWEPT = 8
"""Objects that are shared, or made private, one after the other."""

LAST_CACHE = 32 << 20
"""Bytes of the last cache where the system does not tell."""

MOST_BYTES = 256 << 20
"""Bytes that a worker of the control that is bound by memory increments at most."""


class NothingMeasured(Exception):
    """The target could not be loaded, called or measured at all."""


class ScaleExperiment(Experiment):
    """The user's function under each execution, beside loops that show what the machine gives.

    Parameters
    ----------
    target : Target
        What is measured.
    **keywords
        The options.
    """

    name = SCALE
    summary = "what threads, processes, interpreters and asyncio do for a function of your own, and why not more"
    parameters = ()
    unit_options: ClassVar[Mapping[str, Collection[str]]] = {
        "target": (TARGET,),
        "setup": (TARGET,),
        "arguments": (TARGET,),
    }
    target = 0.02  # four times what a thread keeps the GIL: more rounds tell more than longer ones
    all_exact = ""
    claims = staticmethod(verdict.claims)
    conclude = staticmethod(verdict.conclude)

    def __init__(self, target: Target, **keywords: Any) -> None:
        super().__init__(target=target.text, setup=target.setup, arguments=target.arguments, **keywords)
        self._target = target
        self._asked = {name for name in ("workers", "executions") if keywords.get(name) is not None}
        self._runtimes: dict[str, Runtime] = {}
        self._described: dict[str, dict[str, Any]] = {}
        self._extra: dict[Cell, dict[str, float]] = {}
        if self.options.pythons and not target.portable:
            raise ValueError("other Pythons need a target that they can import: 'module:function', or a statement")

    @classmethod
    def check_options(
        cls,
        *,
        workers: int | Sequence[int] | None = None,
        executions: str | Sequence[str] | None = None,
        pythons: Sequence[str] = (),
        timeout: float = TIMEOUT,
        seconds: float | None = None,
        **given: Any,
    ) -> Options:
        """Check options and fill in defaults; TypeError and ValueError as `Experiment.check_options`.

        Workers that are not given are chosen when it is known whether the target waits.
        """
        if not timeout > 0:
            raise ValueError(f"the time that a call may take must be more than 0 seconds, not {timeout}")
        return Options(
            study=cls.name,
            workloads=(TARGET, *CONTROLS),
            variants=tuple(pythons) or (own_python().label,),
            executions=names("execution", executions, EXECUTIONS, EXECUTIONS),
            workers=worker_counts(workers),
            pythons=tuple(pythons),
            timeout=timeout,
            seconds=SECONDS * max(1, len(pythons)) if seconds is None else seconds,
            **given,
        )

    def environment(self) -> dict[str, Any]:
        """Return what is known of each Python."""
        for label, runtime in self._runtimes.items():
            self._described[label]["notes"] += sorted(runtime.remarks)
        return {"pythons": [*self._described.values()]}

    def cells(self) -> tuple[list[Cell], dict[Cell, tuple[str, str]]]:
        """Load the target in each Python and time a call of it; return the cells as `Experiment.cells`.

        Raises
        ------
        NothingMeasured
            If no Python can load it and call it.
        """
        pythons, missing = find_pythons(self.options.pythons) if self.options.pythons else ([own_python()], {})
        cells: list[Cell] = []
        unmeasured: dict[Cell, tuple[str, str]] = {}
        errors: list[AgentError] = []
        for python in pythons:
            try:
                runtime = self._open(python)
            except AgentError as error:
                errors.append(error)
                self._note_error(python.label, error)
                cell = _cell(TARGET, python.label)
                cells.append(cell)
                unmeasured[cell] = (FAILED, _reason(error))
                continue
            for cell, reason in self._cells_of(runtime):
                cells.append(cell)
                if reason:
                    unmeasured[cell] = (NOT_SUPPORTED, reason)
        for name, reason in missing.items():
            cell = _cell(TARGET, name)
            cells.append(cell)
            unmeasured[cell] = (NOT_INSTALLED, reason)
        if not any(cell.workload == TARGET and cell not in unmeasured for cell in cells):
            tracebacks = [error.traceback.strip() for error in errors][:1]
            reasons = dict.fromkeys(reason for _, reason in unmeasured.values())
            raise NothingMeasured("\n".join(filter(None, [*tracebacks, *reasons])))
        workers = sorted({cell.workers for cell in cells})
        variants = tuple(dict.fromkeys(cell.variant for cell in cells))
        self.options = replace(self.options, workers=tuple(workers), variants=variants)
        return cells, unmeasured

    def _open(self, python: Python) -> Runtime:
        """Start a Python, load the target, and time a call; AgentError if one of these fails."""
        runtime = self._stack.enter_context(
            Runtime(
                python,
                self._target,
                {"shared": self.options.shared, "fresh": self.options.fresh},
                self.options.timeout or TIMEOUT,
                _memory_bytes(parallel_cores()),
            )
        )
        entry: dict[str, Any] = {
            "label": python.label,
            "version": None,
            "executable": python.words[0],
            "free_threaded": False,
            "gil": True,
            "errors": [],
        }
        self._described[python.label] = entry
        runtime.load(self.target, CONTROLS)
        hello, loaded, timing = runtime.hello, runtime.loaded, runtime.timings[TARGET]
        notes = []
        if self._target.unsent:
            notes.append("It was measured in this process, because it cannot be sent to another.")
        try:
            transport = runtime.transport()
        except AgentError as error:
            transport = {}
            notes.append(f"Its arguments or its result cannot be sent to another process: {error.message}.")
        if loaded["gil_module"]:
            notes.append(f"The module {loaded['gil_module']} turned the GIL on.")
        entry |= {
            "version": hello["version"],
            "executable": hello["executable"],
            "free_threaded": hello["free_threaded"],
            "gil": loaded["gil_after"],
            "gil_before": loaded["gil_before"],
            "gil_module": loaded["gil_module"],
            "versions": loaded["versions"],
            "notes": notes,
            "call": {"seconds": timing.call, "cpu": timing.cpu, "overhead": timing.overhead},
            "transport": transport,
        }
        self._runtimes[python.label] = runtime
        return runtime

    def _note_error(self, label: str, error: AgentError) -> None:
        """Keep a traceback, of each text once."""
        errors = self._described[label]["errors"]
        if error.traceback and error.traceback not in errors:
            errors.append(error.traceback)

    def _cells_of(self, runtime: Runtime) -> list[tuple[Cell, str]]:
        """Return the cells of one Python, each with the reason why it cannot run; empty if it can."""
        label, timing = runtime.python.label, runtime.timings[TARGET]
        counts = self.options.workers
        waiting = _waits(timing)
        cores = parallel_cores()
        if waiting and "workers" not in self._asked:
            counts = tuple(sorted({*counts, *(count for count in doublings(BEYOND) if count > cores)}))
        within = [count for count in counts if 1 < count <= cores]
        coroutine = bool(runtime.loaded["coroutine"])
        lacking = {
            "interpreters": "" if runtime.hello["interpreters"] else "there are interpreters from CPython 3.14 on",
            "asyncio": "" if coroutine else "it is no coroutine function",
        }
        cells = [(_cell(TARGET, label), "")]
        for execution in self.options.executions:
            if execution == "serial":
                continue  # the baseline, which always runs
            reason = lacking.get(execution, "")
            if reason and "executions" not in self._asked:
                continue
            most = max(2 * cores, 2) if waiting and execution in ("processes", "interpreters") else BEYOND
            some = counts if "workers" in self._asked else [count for count in counts if count <= max(most, cores)]
            cells += [(_cell(TARGET, label, execution, count), reason) for count in some]
        for workload in CONTROLS:
            if workload in runtime.timings:
                cells.append((_cell(workload, label), ""))
                kinds = ("threads",) if workload == HELD else ("threads", "processes")
                some = within[-1:] if workload != RELEASED else within
                cells += [
                    (_cell(workload, label, execution, count), "")
                    for execution in kinds
                    if execution in self.options.executions or execution == "threads"
                    for count in some
                ]
        cells += [(cell, "") for cell in self._sweep(runtime, within)]
        extra = dict.fromkeys(("argument_bytes", "result_bytes", "seconds"), 0.0) | self._described[label]["transport"]
        self._extra[_cell(TARGET, label)] = {
            "overhead": min(1.0, timing.overhead / timing.call) if timing.call else 1.0,
            "batch": float(timing.batch),
            "transport": extra["seconds"],
            "sent_bytes": extra["argument_bytes"] + extra["result_bytes"],
        }
        return cells

    def _sweep(self, runtime: Runtime, within: Sequence[int]) -> list[Cell]:
        """Return a cell for each object that threads may share: the same with the object shared, or private to each."""
        if not (self.options.share_sweep and within):
            return []
        kind = self._target.request["kind"]

        def sweep(name: str) -> str:
            own = kind == "statement" or (kind != "local" and name.startswith("args["))
            return f"{SHARED if own and not self.options.shared else PRIVATE}{name}"

        chosen = runtime.loaded["names"][:MOST_SWEPT]
        return [_cell(sweep(name), runtime.python.label, "threads", within[-1]) for name in chosen]

    def baseline(self, cell: Cell) -> Cell:
        """Return the serial cell; of an object that is shared or private, that of the target."""
        return _cell(_loop(cell), cell.variant)

    def pool_key(self, cell: Cell) -> Hashable:
        """Return the Python: it has all workers."""
        return cell.variant

    def open_pool(self, cell: Cell) -> AbstractContextManager[Any]:
        """Return the Python, which was opened when the cells were chosen, and is closed with the study."""
        return nullcontext(self._runtimes[cell.variant])

    def initial_work(self, cell: Cell) -> int:
        """Return the calls that a serial run makes in the target time."""
        return max(1, round(self.target / self._runtimes[cell.variant].timings[_loop(cell)].call))

    def calibrate(self, cell: Cell) -> None:
        """Start new workers for the target, and take the time that they need beyond that of running ones."""
        if cell.execution == "serial" or cell.workload != TARGET:
            return
        if cell.execution == "processes":
            self._runtimes[cell.variant].end_processes()
        began = perf_counter()
        self.measure(cell)
        first = perf_counter() - began
        began = perf_counter()
        self.measure(cell)
        self.startup[cell] = max(0.0, first - (perf_counter() - began))

    def waits_by_design(self, cell: Cell) -> bool:
        """Whether there is no core for each worker, or the target waits."""
        return cell.workers > parallel_cores() or _waits(self._runtimes[cell.variant].timings[_loop(cell)])

    def measure(self, cell: Cell) -> Sample:
        """Let the workers of a cell call the target, or a control, for the target time."""
        try:
            runtime = self._runtimes[cell.variant]
            run = runtime.run(_loop(cell), cell.execution, cell.workers, self.target, **_sharing(cell))
        except AgentError as error:
            self._note_error(cell.variant, error)
            raise CellFailed(_reason(error)) from error
        work = self.work[cell]
        evidence = {**run.evidence, **self._extra.get(cell, {})}
        return Sample(run.per_call * work, True, cpu=run.cpu / run.calls * work, evidence=evidence)

    @classmethod
    def build_verdict(cls, found: Findings, *, partial: bool = False) -> Verdict:
        """Return the verdict with the causes and the fitted laws, as `Experiment.build_verdict`."""
        built = super().build_verdict(found, partial=partial)
        laws, sentences = verdict.fit_laws(found)
        return replace(
            built,
            sentences=[*built.sentences, *sentences],
            causes=diagnose(found, built.claims),
            fits=laws,
        )


def _cell(workload: str, label: str, execution: str = "serial", workers: int = 1) -> Cell:
    return Cell(workload, label, execution, workers, unit="call")


def _waits(timing: Timing) -> bool:
    """Whether a call spends much of its time without CPU time."""
    return timing.cpu < (1 - WAITING) * timing.call


def _loop(cell: Cell) -> str:
    """Return what a cell runs: a control, or the target."""
    return cell.workload if cell.workload in CONTROLS else TARGET


def _sharing(cell: Cell) -> dict[str, list[str]]:
    """Return what an agent is told of the object that a cell shares, or makes private."""
    for prefix, field in ((SHARED, "shared_names"), (PRIVATE, "private_names")):
        if cell.workload.startswith(prefix):
            return {field: [cell.workload.removeprefix(prefix)]}
    return {}


def _reason(error: AgentError) -> str:
    """Return what failed, and where if it was in one of several workers."""
    if isinstance(error, AgentTimeout):
        return f"a call did not return: {error.message}; its process was killed. --timeout gives it longer"
    kind = f"{error.type}: " if error.traceback and not error.message.startswith(error.type) else ""
    several = error.where.partition(" of ")[2].partition(" on ")[0] not in ("", "1") or "processes" in error.where
    return f"{error.where + ': ' if several else ''}{kind}{error.message}"


def _memory_bytes(workers: int) -> int:
    """Return the bytes that each worker of the control increments: more than the last cache, and than memory allows."""
    cache = last_cache() or LAST_CACHE
    free = free_memory(gettempdir()).memory
    most = cache * 4 if free is None else free // (8 * workers)
    return max(1 << 20, min(2 * cache, most, MOST_BYTES))
