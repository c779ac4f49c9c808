"""The study of the journal: how fast many workers append to one file by each method, and what gets lost."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from importlib import import_module
from operator import call
from pathlib import Path
from queue import Queue
from threading import Thread
from time import perf_counter
from typing import Any, ClassVar

from parcount.kernels.job import cuts
from parcount.report.units import format_bytes
from parcount.studies.core.analysis import NOT_INSTALLED, NOT_SUPPORTED
from parcount.studies.core.cells import Cell, Sample, with_workers
from parcount.studies.core.experiment import CellFailed, Experiment
from parcount.studies.core.options import Option, Options, names_option, parse_integers, size_option, workers_option
from parcount.studies.core.process_group import TIME_LIMIT, ProcessGroup
from parcount.studies.journal import verdict
from parcount.studies.journal.methods import METHODS, PROCESSES, THREADS, Method, Target, append_all
from parcount.studies.journal.records import LEAST_BYTES, MOST_BYTES, find_faults, make_records
from parcount.system.cores import parallel_cores
from parcount.system.file_system import file_system

RECORD_BYTES = (16, 100, 1 << 10, 1 << 13, 1 << 16)

FEW_BYTES, SHORT = (100, 1 << 13), 40.0
"""The sizes of records in a study of less than so many seconds, in which there is no time for more."""

PROBE = 16
"""Records in the first run of a cell."""

RUN_BYTES, RUN_RECORDS = 1 << 24, 1 << 15
"""Most bytes and most records of a run: making and checking them takes longer than to append them."""

SYNCS = ("none", "record")


def _check_sizes(asked: int | Sequence[int] | None) -> tuple[int, ...]:
    if asked is None:
        return ()
    sizes = (asked,) if isinstance(asked, int) else tuple(sorted(set(asked)))
    if not sizes:
        raise ValueError("no size of records named")
    for size in sizes:
        if not LEAST_BYTES <= size <= MOST_BYTES:
            raise ValueError(f"a record must have from {LEAST_BYTES} to {MOST_BYTES} bytes, not {size}")
    return sizes


def _words(sizes: Sequence[int]) -> str:
    return ", ".join(map(str, sizes))


def _check_sync(asked: str | None) -> str:
    if asked is not None and asked not in SYNCS:
        raise ValueError(f"no sync {asked!r}; there are {', '.join(SYNCS)}")
    return asked or SYNCS[0]


def _check_directory(asked: str | os.PathLike[str] | None) -> str:
    """Return the current directory by default, or where nothing can be written to it, that of temporary files."""
    if asked is None:
        here = os.getcwd()  # noqa: PTH109 - a string for the result file
        return here if os.access(here, os.W_OK) else tempfile.gettempdir()
    path = Path(asked)
    if not path.is_dir():
        raise ValueError(f"there is no directory {path}")
    return str(path)


class JournalExperiment(Experiment):
    """Record sizes × methods × who appends: the calling thread, threads, and processes."""

    name = "journal"
    summary = "how fast many workers append to one file by each method, and what gets lost, torn or duplicated"
    parameters = (
        names_option("variants", "method", METHODS),
        workers_option("numbers of writers besides 1; default: all available cores, at least 4", lambda: _most()),
        Option(
            "bytes",
            "--bytes",
            "LIST",
            f"sizes of records; default: {_words(RECORD_BYTES)}; in less than {SHORT:.0f} seconds {_words(FEW_BYTES)}",
            parse_integers,
            _check_sizes,
        ),
        size_option("records in one run; default: what each method appends in its time", 1, "record"),
        Option(
            "directory",
            "--directory",
            "DIR",
            "where the files are written, in a temporary directory; default: the current directory",
            str,
            _check_directory,
        ),
        Option(
            "sync",
            "--sync",
            "WHEN",
            'of "none" and "record": after each record, wait until it is on the disk; default: none',
            str,
            _check_sync,
        ),
    )
    fixed_options: ClassVar[Mapping[str, Any]] = {"executions": ("serial", THREADS, PROCESSES)}
    unit_options: ClassVar[Mapping[str, Collection[str]]] = {"sync": ()}
    target = 0.02
    startup_of_each_cell = False
    lossy_variants = frozenset(name for name, method in METHODS.items() if not method.exact)
    wrong = "LOST OR WRONG RECORDS"
    all_exact = ""  # the verdict says it of those that promise it
    claims = staticmethod(verdict.claims)
    conclude = staticmethod(verdict.conclude)

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        self._context = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
        self._directory = ""
        self._sync = self.options.sync == "record"

    @classmethod
    def check_options(cls, **given: Any) -> Options:
        """Check options and fill in defaults; the workloads follow from the sizes."""
        options = super().check_options(**given)
        sizes = options.bytes or (FEW_BYTES if options.seconds < SHORT else RECORD_BYTES)
        return replace(options, bytes=sizes, workloads=tuple(map(_workload, sizes)))

    def cells(self) -> tuple[list[Cell], dict[Cell, tuple[str, str]]]:
        """Return for each size of records each method with one writer and with several, as `Experiment.cells`."""
        several = [workers for workers in self.options.workers if workers > 1]
        cells = [
            cell
            for size in self.options.bytes
            for name in self.options.variants
            for cell in with_workers(
                Cell(_workload(size), name, "serial", 1, unit="record", record_bytes=size),
                METHODS[name].executions,
                several,
            )
        ]
        lacks = {name: why for name in self.options.variants if (why := self._lacks(METHODS[name])) is not None}
        return cells, {cell: lacks[cell.variant] for cell in cells if cell.variant in lacks}

    def _lacks(self, method: Method) -> tuple[str, str] | None:
        if self._sync and not method.syncs:
            return NOT_SUPPORTED, "it does not wait for the disk"
        if sys.platform == "win32" and method.exact:
            return NOT_SUPPORTED, "Windows has no journal"
        try:
            import_module(method.needs or __name__)
        except ImportError as error:
            return NOT_INSTALLED, str(error)
        return None

    def open(self, cells: Sequence[Cell], progress: Callable[[str], None]) -> None:  # noqa: ARG002 - it takes no time
        """Make the directory for the files."""
        assert self.options.directory is not None
        made = tempfile.TemporaryDirectory(
            prefix="parcount-study-", dir=self.options.directory, ignore_cleanup_errors=True
        )
        self._directory = self._stack.enter_context(made)

    def environment(self) -> dict[str, Any]:
        """Return the type of the file system."""
        return {"file_system": file_system(self.options.directory or ".")}

    def pool_key(self, cell: Cell) -> Hashable:
        """Return who appends: processes of one number serve all methods."""
        return (PROCESSES if _by_processes(cell) else cell.execution), cell.workers

    def open_pool(self, cell: Cell) -> Any:
        """Start new workers; with processes, one more, which reads what they put into a queue."""
        if _by_processes(cell):
            return ProcessGroup(cell.workers + 1, self._context, lambda context: context.Queue())
        return super().open_pool(cell)

    def waits_by_design(self, cell: Cell) -> bool:  # noqa: ARG002 - all cells
        """Whether workers wait: for each other, and for cores, of which there can be fewer."""
        return True

    def most_work(self, cell: Cell) -> int:
        """Return the most records in a run."""
        return max(1, min(RUN_RECORDS, RUN_BYTES // (cell.record_bytes or 1)))

    def initial_work(self, cell: Cell) -> int:
        """Return the records in the first run of a cell."""
        if self.options.size is not None:
            return self.options.size
        return self.work.get(self.baseline(cell), PROBE)

    def calibrate(self, cell: Cell) -> None:
        """Choose how many records a single writer appends in about the target time."""
        if cell == self.baseline(cell) and self.options.size is None:
            self.work[cell] = self.fitting_work(cell, least=PROBE)
            # To wait until a queue is empty takes the same time after any number of records.
            while 2 * self.work[cell] <= self.most_work(cell) and self.time(cell) < self.target / 2:
                self.work[cell] *= 2

    def measure(self, cell: Cell) -> Sample:
        """Append to a new file, and check every record of it."""
        method = METHODS[cell.variant]
        counts = [stop - start for start, stop in cuts(self.work[cell], cell.workers)]
        run = self._run_processes if _by_processes(cell) else self._run_threads
        with tempfile.TemporaryDirectory(dir=self._directory, ignore_cleanup_errors=True) as directory:
            path = Path(directory) / "records"
            with method.share(path, self._sync) as target:
                seconds = run(cell, target, counts)
            faults = find_faults(method.read(path), counts, cell.record_bytes or 0)
        evidence = {"torn": faults.torn, "duplicated": faults.duplicated, "reordered": faults.reordered}
        return Sample(seconds, not faults, lost=faults.lost, evidence=evidence)

    def _run_processes(self, cell: Cell, target: Target, counts: Sequence[int]) -> float:
        """Return the seconds from the start of the first to the last record in the file."""
        method = METHODS[cell.variant]
        items: list[Any] = [(method, target, count, (writer, cell.record_bytes)) for writer, count in enumerate(counts)]
        group: ProcessGroup = self.pool(cell)
        spans = group.run(_prepare, [*items, (method, target, len(counts), None)])
        writers = spans[:-1]
        last = spans if method.reader is not None else writers
        return max(end for _, end in last) - min(began for began, _ in writers)

    def _run_threads(self, cell: Cell, target: Target, counts: Sequence[int]) -> float:
        """Return the seconds from the start of all to the last record in the file."""
        method = METHODS[cell.variant]
        records = [method.convert(make_records(*one, cell.record_bytes or 0)) for one in enumerate(counts)]
        with ExitStack() as stack:
            queue: Any = Queue()
            reader = Thread()
            if method.reader is not None:
                reader = Thread(target=stack.enter_context(method.reader(target, queue, len(counts))), daemon=True)
            made = 1 if method.one_for_threads else len(counts)
            writers = [stack.enter_context(method.writer(target, queue)) for _ in range(made)] * (len(counts) // made)
            tasks = [partial(append_all, *one) for one in zip(writers, records, strict=True)]
            reader.start()
            opened: float = self.pool(cell).together(call, tasks)[1]
            reader.join(TIME_LIMIT)
            if reader.is_alive():
                raise CellFailed(f"not all records were in the file after {TIME_LIMIT:.0f} seconds")
            return perf_counter() - opened


def _most() -> tuple[int, ...]:
    return (max(4, parallel_cores()),)


def _workload(size: int) -> str:
    return f"records of {format_bytes(size)}"


def _by_processes(cell: Cell) -> bool:
    """Whether a cell takes processes: one writer of a queue for processes is one, too."""
    return cell.execution == PROCESSES or METHODS[cell.variant].executions == (PROCESSES,)


@contextmanager
def _prepare(queue: Any, item: tuple[Method, Target, int, tuple[int, int] | None]) -> Iterator[Callable[[], None]]:
    """Make the records of a writer and open its file; or open that of who reads the queue, if there is one."""
    method, target, count, writer = item
    if writer is not None:
        number, size = writer
        records = method.convert(make_records(number, count, size))
        with method.writer(target, queue) as opened:
            yield partial(append_all, opened, records)
    elif method.reader is not None:
        with method.reader(target, queue, count) as read:
            yield read
    else:
        yield _nothing


def _nothing() -> None:
    pass
