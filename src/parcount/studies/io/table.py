"""A study of I/O as two tables: what fetches, and what computes beside it."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from parcount.report.style import libraries, start_up
from parcount.studies.core.analysis import MEASURED, CellResult
from parcount.studies.core.result import Study
from parcount.studies.io.verdict import CONTROL, FETCH, cost, server_cost

LEGEND = """\
against serial: in the same round, median [95 % interval]. CPU: CPU time of a worker per page or million increments.
server: CPU time of the server per page; it runs on the same cores. start-up: time that new workers need beyond that of
warm ones; for pages it includes a client and a connection for each."""


def show(study: Study, console: Console) -> None:
    """Print both tables."""
    delay = study.options["delay"]
    titles = {
        FETCH: f"fetch: pages from an HTTP server on this machine, each answered after {delay:g} ms",
        CONTROL: "tally: the counting loop in plain Python, which holds the GIL where there is one",
    }
    for workload, title in titles.items():
        console.print()
        console.print(Text(title, style="bold"))
        console.print(_table([cell for cell in study.cells if cell.workload == workload], workload))
    console.print(Text(_legend(study), style="dim"))


def _table(cells: list[CellResult], workload: str) -> Table:
    """A row for each execution and number of workers."""
    fetching = workload == FETCH
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("on", no_wrap=True)
    for name in (
        "workers",
        "pages/s" if fetching else "M/s",
        "against serial",
        "CPU",
        *(["server"] if fetching else []),
    ):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("start-up", justify="right", no_wrap=True)
    before = None
    for cell in cells:
        name = cell.execution if cell.execution != before else ""
        before = cell.execution
        if cell.status != MEASURED:
            table.add_row(name, str(cell.workers), Text(cell.status, style="red"), style="dim")
            continue
        scale = 1.0 if fetching else 1e6
        row = [_rate(cell, scale), "" if cell.execution == "serial" else _speedup(cell), _time(cost(cell), scale)]
        if fetching:
            row.append(_time(server_cost(cell), scale))
        table.add_row(name, str(cell.workers), *row, start_up(cell))
    return table


def _rate(cell: CellResult, scale: float) -> str:
    if cell.rate is None:
        return "–"
    rate = cell.rate / scale
    return f"{rate:.2f}" if rate < 10 else f"{rate:,.0f}".replace(",", " ")


def _speedup(cell: CellResult) -> str:
    return "–" if cell.speedup is None else str(cell.speedup)


def _time(seconds: float | None, scale: float) -> str:
    if seconds is None:
        return ""
    milliseconds = 1000 * seconds * scale
    return f"{milliseconds:.2f} ms" if milliseconds < 10 else f"{milliseconds:,.0f} ms".replace(",", " ")


def _legend(study: Study) -> str:
    lines = [LEGEND]
    lines += dict.fromkeys(
        f"{cell.workload} on {cell.execution}: {cell.status}: {cell.reason}."
        for cell in study.cells
        if cell.status != MEASURED
    )
    lines.append(f"Client: httpx {study.environment['versions'].get('httpx') or 'not installed'}. {libraries(study)}")
    return "\n".join(lines)
