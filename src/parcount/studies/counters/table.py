"""The table of the study of counters: the cost of an increment, and losses."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from parcount.report.style import libraries
from parcount.studies.core.analysis import MEASURED, CellResult
from parcount.studies.core.result import Study
from parcount.studies.counters.verdict import cost, total_lost

TITLE = "counter: one total that all workers increment"

LEGEND = """\
ns: wall-clock time of one increment, median. Several workers share the increments: two that do not slow each other down
take half the time. lost: the share of the increments made by the most workers that is missing from the total."""


def show(study: Study, console: Console) -> None:
    """Print the table."""
    console.print()
    console.print(Text(TITLE, style="bold"))
    console.print(_table(study))
    console.print(Text(f"{LEGEND}\n{libraries(study)}", style="dim"))


def _table(study: Study) -> Table:
    """One row for each method and execution: nanoseconds by itself and with several workers, and losses."""
    workers = sorted({cell.workers for cell in study.cells})
    found = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    found.add_column("method", no_wrap=True)
    found.add_column("on", no_wrap=True)
    for count in workers:
        found.add_column(f"{count} worker{'s' if count > 1 else ''}", justify="right", no_wrap=True)
    found.add_column("lost", justify="right", no_wrap=True)
    alone = {cell.variant: cell for cell in study.cells if cell.execution == "serial"}
    rows: dict[tuple[str, str], dict[int, CellResult]] = {}
    for cell in study.cells:
        if cell.execution != "serial":
            rows.setdefault((cell.variant, cell.execution), {})[cell.workers] = cell
    if not rows:
        rows = {(variant, ""): {} for variant in alone}
    before = None
    for (variant, execution), cells in rows.items():
        together = {1: alone[variant], **cells}
        costs = [_cost(together.get(count)) for count in workers]
        found.add_row(variant if variant != before else "", execution, *costs, _lost(together[max(together)]))
        before = variant
    return found


def _cost(cell: CellResult | None) -> str | Text:
    if cell is None:
        return ""
    if cell.status != MEASURED:
        return Text(cell.status, style="red")
    nanoseconds = cost(cell)
    return "–" if nanoseconds is None else f"{nanoseconds:.{0 if nanoseconds >= 100 else 1}f} ns"


def _lost(cell: CellResult) -> str | Text:
    made = (cell.work or 0) * len(cell.seconds)
    if not made:
        return "–"
    lost = total_lost(cell)
    return Text(f"{100 * lost / made:.2g} %", style="red") if lost else "none"
