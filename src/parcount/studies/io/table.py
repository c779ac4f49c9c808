"""The tables of the study of I/O: what fetches, and the control that computes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from parcount.report.table import Column, Table
from parcount.report.units import two_decimals
from parcount.studies.core.analysis import MEASURED, CellResult
from parcount.studies.core.claims import left_out
from parcount.studies.core.result import Study
from parcount.studies.core.tables import speedup_cells, speedup_columns, start_up, status
from parcount.studies.io.verdict import CONTROL, FETCH, per_unit

LEGEND = (
    "pages/s, M/s: pages, or million increments, per second, serial. The other columns: how many times as many, the "
    "median of the ratios in each round, with its 95 % interval."
)

DETAILS = (
    "CPU: CPU time of a worker per page or million increments. server: CPU time of the server per page; it runs on the "
    "same cores. start-up: time that new workers need beyond that of running ones; for pages it includes a client and "
    "a connection for each."
)

UNITS = {FETCH: ("pages/s", 1.0), CONTROL: ("M/s", 1e6)}


def tables(study: Study) -> Iterator[Table]:
    """Yield the tables of the cells that fetch and of the control, then those of details."""
    titles = {
        FETCH: f"pages from an HTTP server on this machine, each answered after {study.options.get('delay') or 0:g} ms",
        CONTROL: "the counting loop in plain Python, which holds the GIL where there is one",
    }
    for workload, title in titles.items():
        yield _speedups(study, workload, f"{workload}: {title}")
    for workload in titles:
        yield _times(study, workload, f"{workload}: CPU times")


def legend(study: Study, *, details: bool = False) -> Iterator[str]:
    """Yield what the columns mean, and what was left out."""
    yield LEGEND
    if details:
        yield DETAILS
        yield f"Client: httpx {study.environment['versions'].get('httpx') or 'not installed'}."
    yield from left_out(study.cells, lambda cell: cell.workload, lambda cell: f" on {cell.execution}")


def _speedups(study: Study, workload: str, title: str) -> Table:
    """A row for each execution: the rate of the serial cell, and the speedup at each number of workers."""
    cells = [cell for cell in study.cells if cell.workload == workload]
    workers = sorted({cell.workers for cell in cells if cell.execution != "serial" and cell.seconds})
    cores = math.inf if workload == FETCH else study.environment["cores"]["parallel"]
    unit, scale = UNITS[workload]
    serial = next((cell for cell in cells if cell.execution == "serial"), None)
    rate = "–" if serial is None or not serial.rate else two_decimals(serial.rate / scale)
    rows = []
    for execution in dict.fromkeys(cell.execution for cell in cells if cell is not serial) or ["serial"]:
        row = {cell.workers: cell for cell in cells if cell.execution == execution and cell is not serial}
        absent = next((cell for cell in row.values() if cell.status != MEASURED), None)
        speeds = [text for count in workers for text in speedup_cells(row.get(count, absent))]
        rows.append((execution, rate, *speeds))
    return Table(title, [Column("on", left=True), Column(unit, 2), *speedup_columns(workers, cores)], rows)


def _times(study: Study, workload: str, title: str) -> Table:
    """A row for each cell: its CPU times, and the start-up."""
    unit, scale = UNITS[workload]
    fetching = workload == FETCH
    names = (unit, "CPU", *(["server"] if fetching else []), "start-up")
    columns = [Column("on", left=True), Column("workers"), *(Column(name, rank) for rank, name in enumerate(names, 1))]

    def row(cell: CellResult) -> Sequence[str]:
        times = [per_unit(cell, cell.cpu), *([per_unit(cell, cell.server)] if fetching else [])]
        return (
            cell.execution,
            str(cell.workers),
            status(cell) if cell.rate is None else two_decimals(cell.rate / scale),
            *("" if seconds is None else f"{two_decimals(1000 * seconds * scale)} ms" for seconds in times),
            start_up(cell),
        )

    return Table(title, columns, [row(cell) for cell in study.cells if cell.workload == workload], details=True)
