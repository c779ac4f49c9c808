"""The tables of the study of I/O: what fetches, and the control that computes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from parcount.report.style import speedup, start_up
from parcount.report.terminal import failed, make_table
from parcount.report.units import two_decimals
from parcount.studies.core.analysis import MEASURED, CellResult
from parcount.studies.core.claims import left_out
from parcount.studies.core.result import Study
from parcount.studies.io.verdict import CONTROL, FETCH, per_unit

LEGEND = """\
against serial: in the same round, median [95 % interval]. CPU: CPU time of a worker per page or million increments.
server: CPU time of the server per page; it runs on the same cores. start-up: time that new workers need beyond that of
warm ones; for pages it includes a client and a connection for each."""


def tables(study: Study, *, intervals: bool = True) -> Iterator[tuple[str, Table]]:
    """Yield the titles and the tables of the cells that fetch and of the control."""
    delay = study.options["delay"]
    for workload, title, rate, server in (
        (FETCH, f"pages from an HTTP server on this machine, each answered after {delay:g} ms", "pages/s", ["server"]),
        (CONTROL, "the counting loop in plain Python, which holds the GIL where there is one", "M/s", []),
    ):
        cells = [cell for cell in study.cells if cell.workload == workload]
        header = ["on", "workers", rate, "against serial", "CPU", *server, "start-up"]
        yield f"{workload}: {title}", make_table(header, [_row(cell, intervals) for cell in cells], ("on",))


def legend(study: Study) -> Iterator[str]:
    """Yield what the columns mean, and what was left out."""
    yield LEGEND
    yield from left_out(study.cells, lambda cell: cell.workload, lambda cell: f" on {cell.execution}")
    yield f"Client: httpx {study.environment['versions'].get('httpx') or 'not installed'}."


def _row(cell: CellResult, intervals: bool) -> Sequence[str | Text]:
    if cell.status != MEASURED:
        return cell.execution, str(cell.workers), failed(cell.status)
    fetching = cell.workload == FETCH
    scale = 1.0 if fetching else 1e6
    times = [per_unit(cell, cell.cpu), *([per_unit(cell, cell.server)] if fetching else [])]
    return (
        cell.execution,
        str(cell.workers),
        "–" if cell.rate is None else two_decimals(cell.rate / scale),
        "" if cell.execution == "serial" else speedup(cell, intervals),
        *("" if seconds is None else f"{two_decimals(1000 * seconds * scale)} ms" for seconds in times),
        start_up(cell),
    )
