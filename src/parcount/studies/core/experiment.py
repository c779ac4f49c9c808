"""What a study is: its options, cells, preparation, samples, baseline, verdict, table and figure."""

from __future__ import annotations

import errno
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from importlib import import_module
from io import StringIO
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar, Self, TextIO, TypeVar

from parcount.execution.base import Execution
from parcount.execution.interpreters import Interpreters
from parcount.execution.processes.execution import Processes
from parcount.execution.serial import Serial
from parcount.execution.threads import Threads
from parcount.report.units import plural
from parcount.studies.core.analysis import FAILED, NOT_SUPPORTED
from parcount.studies.core.cells import Cell, Sample
from parcount.studies.core.claims import UNDECIDED, Claim, Verdict
from parcount.studies.core.findings import Findings
from parcount.studies.core.options import SECONDS, Option, Options
from parcount.studies.core.tables import claims_table
from parcount.system.cores import available_cores
from parcount.system.load import Watch, stolen_time, waiting_time

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console

    from parcount.report.table import Table
    from parcount.studies.core.result import Study

Outcome = TypeVar("Outcome")

EXECUTIONS: Mapping[str, Callable[[int], Execution]] = {
    "serial": lambda _: Serial(),
    "threads": Threads,
    "processes": lambda workers: Processes(workers, retries=0),  # a worker that dies is a finding
    "interpreters": Interpreters,
}
"""The executions of cells, made with a number of workers."""

LEAST_WORK = 1 << 10
"""Increments in the first run of a cell, before its size is known."""

WINDOW = 0.2
"""Seconds over which the load by other programs is averaged: the system counts it in hundredths of a second."""


class CellFailed(Exception):
    """A cell cannot be measured; the message is the whole reason."""


class Experiment(ABC):
    """One study: a design of cells, how each is prepared and run, and what the samples show.

    A subclass defines the design. The base class opens the workers, measures start-up times, calibrates, notices
    disturbance, sets failing cells aside and composes the verdict. Beside the subclass, a module ``table`` has
    ``tables(study)`` and ``legend(study, details)``, and a module ``figure`` has ``draw(study)``.

    Parameters
    ----------
    **keywords
        The study's options, as `check_options` takes them.

    Attributes
    ----------
    options : Options
        The checked options.
    work : dict of Cell to int
        Units of work in one run, of each prepared cell.
    startup : dict of Cell to float
        Seconds by which the first result of new workers is later than one of running workers.
    failed : dict of Cell to (status, reason)
        Cells that raised, and what.
    """

    name: ClassVar[str]
    """The name in the registry."""
    summary: ClassVar[str]
    """What is measured, in one line for the command's help."""
    parameters: ClassVar[tuple[Option, ...]]
    """The options besides ``seed`` and ``seconds``, which all studies have."""
    fixed_options: ClassVar[Mapping[str, Any]] = {}
    """The fields of `Options` that this study does not let its user choose."""
    unit_options: ClassVar[Mapping[str, Collection[str]]] = {"size": ()}
    """The options on which it depends what a unit of work costs, each with the workloads that it concerns; () is all.

    Results that differ in them are not compared. Other options choose cells, the order, or the number of rounds.
    """
    seconds: ClassVar[float] = SECONDS
    """Seconds after which it ends by default."""
    target: ClassVar[float]
    """Seconds that one run of a calibrated cell takes."""
    startup_of_each_cell: ClassVar[bool] = True
    """Whether start-up is measured with new workers for each cell, rather than once for those that share workers."""
    lossy_variants: ClassVar[Collection[str]] = ()
    """Variants that may lose counts: how many is what is measured."""
    wrong: ClassVar[str] = "WRONG COUNTS"
    all_exact: ClassVar[str] = "gave the exact counts"
    """How the verdict calls wrong results, and right ones."""

    def __init__(self, **keywords: Any) -> None:
        self.options = self.check_options(**keywords)
        self.work: dict[Cell, int] = {}
        self.startup: dict[Cell, float] = {}
        self.failed: dict[Cell, tuple[str, str]] = {}
        self._stack = ExitStack()
        self._pools: dict[Hashable, Any] = {}
        self._watch = Watch()
        self._taken = 0.0

    # The design: what a subclass defines.

    @classmethod
    def check_options(cls, *, seed: int = 0, seconds: float | None = None, **given: Any) -> Options:
        """Check options and fill in defaults.

        Raises
        ------
        TypeError
            If the study has no such option.
        ValueError
            If a name does not exist, or a number is out of range.
        """
        known = [option.keyword for option in cls.parameters]
        for keyword in given:
            if keyword not in known:
                raise TypeError(f"the study {cls.name!r} has no option {keyword!r}; it has {', '.join(known)}")
        values = {option.keyword: option.check(given.get(option.keyword)) for option in cls.parameters}
        seconds = cls.seconds if seconds is None else seconds
        return Options(study=cls.name, seed=seed, seconds=seconds, **{**cls.fixed_options, **values})

    @abstractmethod
    def cells(self) -> tuple[list[Cell], dict[Cell, tuple[str, str]]]:
        """Return all cells in the order of the result, and for those that cannot run here their status and reason."""

    def baseline(self, cell: Cell) -> Cell:
        """Return the cell that another's speedup is relative to: the same variant, serial."""
        return cell.baseline

    def open(self, cells: Sequence[Cell], progress: Callable[[str], None]) -> None:
        """Make what the cells share, such as their data; `_stack` closes it."""

    def pool_key(self, cell: Cell) -> Hashable:
        """Return a key that is equal for cells that share workers."""
        return cell.execution, cell.workers

    def open_pool(self, cell: Cell) -> AbstractContextManager[Any]:
        """Return new workers for a cell: a context manager whose value has ``pids()``."""
        return EXECUTIONS[cell.execution](cell.workers)

    @abstractmethod
    def measure(self, cell: Cell) -> Sample:
        """Run a cell once, with `work[cell]` units, on its workers."""

    def most_work(self, cell: Cell) -> int:  # noqa: ARG002 - of other studies
        """Return the most units of work that a run of a cell can have."""
        return 1 << 62

    def initial_work(self, cell: Cell) -> int:
        """Return the units of work in the first run of a cell."""
        if cell != self.baseline(cell):
            return self.work[self.baseline(cell)]
        return min(self.most_work(cell), LEAST_WORK if self.options.size is None else self.options.size)

    def calibrate(self, cell: Cell) -> None:
        """Choose the units of work for which a run takes about `target` seconds; by default for baselines only."""
        if cell == self.baseline(cell) and self.options.size is None:
            self.work[cell] = self.fitting_work(cell)

    def environment(self) -> dict[str, Any]:
        """Return what a study knows of its environment beside what all studies do."""
        return {}

    def waits_by_design(self, cell: Cell) -> bool:  # noqa: ARG002 - of other studies
        """Whether the workers of a cell wait in each run, so that waiting for a core is no disturbance."""
        return False

    @staticmethod
    @abstractmethod
    def claims(found: Findings) -> list[Claim]:
        """Return the claims of a study: it measures until all are decided."""

    @staticmethod
    @abstractmethod
    def conclude(found: Findings, claims: Sequence[Claim]) -> tuple[str, list[str]]:
        """Return the answer and the sentences of a study without wrong results."""

    # The machinery: the same for all studies.

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def pids(self) -> list[int]:
        """Return the ids of this process and of all workers."""
        return [os.getpid(), *(pid for pool in self._pools.values() for pid in pool.pids())]

    def pool(self, cell: Cell) -> Any:
        """Return the workers of a prepared cell."""
        return self._pools[self.pool_key(cell)]

    def prepare(self, cells: Sequence[Cell], progress: Callable[[str], None]) -> None:
        """Make what the cells share, then start, calibrate and warm each; OSError if the system lacks what all need."""
        self.open(cells, progress)
        for cell in cells:
            progress(f"{cell.workload}, {cell.variant} on {cell.execution}")
            if self.baseline(cell) in self.failed:
                self.failed.setdefault(cell, (FAILED, "its serial cell failed"))
            self._attempt(cell, self._prepare)

    def run(self, cell: Cell) -> Sample | None:
        """Run a prepared cell once; None if it raised, after which it stays set aside."""
        return self._attempt(cell, self._run)

    def fitting_work(self, cell: Cell, *, unit: int = 1, least: int = LEAST_WORK) -> int:
        """Return the units of work that a cell does in about `target` seconds: `unit` times a power of two.

        The work is doubled until a run is long enough to be extrapolated from. Powers of two let variants of about the
        same speed do the same work.
        """
        most = self.most_work(cell)
        size = min(most, least)
        while size < most:
            self.work[cell] = unit * size
            seconds = self.time(cell)
            if seconds >= self.target / 8:
                return unit * min(
                    most, 1 << max(least.bit_length() - 1, round(math.log2(size * self.target / seconds)))
                )
            size *= 2
        return unit * most

    def time(self, cell: Cell) -> float:
        """Return the seconds of one run, for calibration."""
        return self.measure(cell).seconds

    def _prepare(self, cell: Cell) -> None:
        """Start new workers, take the start-up time, calibrate, and warm the workers that will run the cell."""
        self.work[cell] = self.initial_work(cell)
        key = self.pool_key(cell)
        kept = self._pools.get(key)
        if kept is None or self.startup_of_each_cell:
            began = perf_counter()
            with ExitStack() as stack:
                self._pools[key] = stack.enter_context(self.open_pool(cell))
                try:
                    self.measure(cell)
                    first = perf_counter() - began
                    seconds = self.measure(cell).seconds
                except BaseException:
                    del self._pools[key]
                    raise
                finally:
                    if kept is not None:
                        self._pools[key] = kept
                if cell.execution != "serial":
                    self.startup[cell] = max(0.0, first - seconds)
                if kept is None:
                    self._stack.push(stack.pop_all())
        self.calibrate(cell)
        if kept is not None and self.startup_of_each_cell:
            self.measure(cell)

    def _run(self, cell: Cell) -> Sample:
        if self.waits_by_design(cell):
            sample = self.measure(cell)
            if self._watch.age() >= WINDOW:
                self._taken = min(1.0, self._watch.taken(self.pids()) / available_cores())
                self._watch = Watch()
            return replace(sample, waited=self._taken)
        ours = [os.getpid(), *self.pool(cell).pids()]
        before = waiting_time(ours) + stolen_time()
        sample = self.measure(cell)
        waited = waiting_time(ours) + stolen_time() - before
        return replace(sample, waited=min(1.0, max(0.0, waited) / (sample.seconds * cell.workers)))

    def _attempt(self, cell: Cell, action: Callable[[Cell], Outcome]) -> Outcome | None:
        """Run an action on a cell. A cell that raises is set aside, and the study goes on without it."""
        if cell in self.failed:
            return None
        try:
            return action(cell)
        except Exception as error:  # noqa: BLE001 - whatever a loop, a worker or the system raises
            full = isinstance(error, OSError) and error.errno == errno.ENOSPC
            reason = str(error) if full or isinstance(error, CellFailed) else f"{type(error).__name__}: {error}"
            self.failed[cell] = (NOT_SUPPORTED if full else FAILED, reason)
            return None

    @classmethod
    def build_verdict(cls, found: Findings, *, partial: bool = False) -> Verdict:
        """Return the verdict on a study, which is `partial` if it was interrupted."""
        measured = [result for result in found.results if result.seconds]
        if partial and not measured:
            return Verdict(UNDECIDED, ["The study was interrupted before the first round: nothing was measured."])
        wrong = [result for result in found.results if result.exact is False and result.status == FAILED]
        if wrong:
            cells = "; ".join(str(result.cell) for result in wrong)
            verdict = Verdict("not exact", [f"{cls.wrong} in {cells}: no other number of this study can be trusted."])
        else:
            claims = cls.claims(found)
            verdict = Verdict(*cls.conclude(found, claims), claims, list(found.comparisons.values()))
        sentences = verdict.sentences
        if found.load:
            undecided = verdict.answer == UNDECIDED or any(claim.holds is None for claim in verdict.claims)
            again = " Measure again on a quiet machine." if undecided else ""
            sentences.append(f"Meanwhile {'; '.join(found.load)}.{again}")
        if measured and not wrong and cls.all_exact:
            where = f"{plural(len(measured), 'cell')} in {plural(len([*filter(None, found.rounds)]), 'round')}"
            sentences.append(f"Every run of {where} {cls.all_exact}.")
        if partial:
            sentences.append("The study was interrupted. The verdict rests on the rounds before that.")
        return verdict

    @classmethod
    def tables(cls, study: Study, *, details: bool = False) -> list[Table]:
        """Return a study's tables; with details, those of details too, and the table of claims."""
        if not (study.complete or study.measured):
            return []  # interrupted before the first round
        shown = [table for table in cls._module("table").tables(study) if details or not table.details]
        return [*shown, claims_table(study.verdict.claims)] if details and study.verdict.claims else shown

    @classmethod
    def legend(cls, study: Study, *, details: bool = False) -> list[str]:
        """Return what the columns mean, and why cells were left out; with details, the environment too."""
        from parcount.report.style import libraries

        return [*cls._module("table").legend(study, details=details), *([libraries(study)] if details else [])]

    @classmethod
    def show(cls, study: Study, stream: TextIO, details: bool = False) -> None:
        """Print a study: the answer, the tables, and the other sentences of the verdict."""
        from parcount.report.terminal import open_console, print_answer, print_sentences

        console = open_console(stream)
        answer, *others = study.verdict.sentences
        print_answer(console, answer)
        cls._print_tables(console, study, details=details)
        print_sentences(console, others)

    @classmethod
    def table_text(cls, study: Study, *, details: bool, width: int) -> str:
        """Return a study's tables, and what their columns mean, as text."""
        from parcount.report.terminal import open_console

        cls._print_tables(open_console(text := StringIO(), width), study, details=details)
        return text.getvalue().strip("\n")

    @classmethod
    def html(cls, study: Study) -> str:
        """Return a study as HTML for a notebook."""
        from parcount.report.notebook import to_html

        return to_html(study.verdict.sentences, cls.tables(study), cls.legend(study), lambda: cls.draw(study))

    @classmethod
    def _print_tables(cls, console: Console, study: Study, *, details: bool) -> None:
        from parcount.report.terminal import print_legend, print_table

        if tables := cls.tables(study, details=details):
            for table in tables:
                print_table(console, table, details=details)
            print_legend(console, cls.legend(study, details=details))

    @classmethod
    def draw(cls, study: Study) -> Figure:
        """Return a study's figure."""
        figure: Figure = cls._module("figure").draw(study)
        return figure

    @classmethod
    def _module(cls, name: str) -> Any:
        return import_module(f"{cls.__module__.rpartition('.')[0]}.{name}")
