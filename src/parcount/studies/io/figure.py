"""The figure of the study of I/O: speedup against workers, of what waits and of what computes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from parcount.report.figure import (
    finish,
    in_style,
    label_ends,
    label_ticks,
    mark_empty,
    name_panel,
    plain_axes,
    plot_ideal,
    plot_speedups,
)
from parcount.report.style import STYLES
from parcount.studies.core.analysis import CellResult
from parcount.studies.core.findings import fastest, select, serial
from parcount.studies.core.result import Study
from parcount.studies.io.verdict import CONTROL, FETCH, per_unit


@in_style
def draw(study: Study) -> Figure:
    """Return the figure: both panels have the same scale."""
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    fetching, computing = figure.subplots(1, 2, sharey=True, width_ratios=(2, 1))
    known = [cell for cell in study.cells if cell.speedup is not None and cell.execution != "serial"]
    name_panel(fetching, f"waits: pages that come after {study.options.get('delay') or 0:g} ms")
    name_panel(computing, "computes: the loop of tally")
    speeds = [bound for cell in known if cell.speedup for bound in (cell.speedup.low, cell.speedup.high)]
    fetching.set_yscale("log", base=2)
    fetching.set_ylim(0.8 * min([0.9, *speeds]), 1.3 * max([2.0, *speeds]))
    if any(cell.workload == FETCH for cell in known):
        _limit(fetching, study)
    for axes, workload, room in ((fetching, FETCH, 0.22), (computing, CONTROL, 0.46)):
        _panel(axes, [cell for cell in known if cell.workload == workload], room)
    fetching.set_ylabel("times as fast as serial")
    return finish(figure, "Speedup by more workers where Python waits, and where it computes", study)


def _limit(axes: Axes, study: Study) -> None:
    """Draw how many pages one core has CPU time for, by the threads that fetched most."""
    alone, best = serial(study.cells, FETCH), fastest(select(study.cells, FETCH, "threads"))
    if alone is None or best is None or not alone.rate or not (price := per_unit(best, best.cpu)):
        return
    height, color = 1 / price / alone.rate, STYLES["threads"]["color"]
    if height > axes.get_ylim()[1]:
        axes.set_ylim(top=1.4 * height)
    axes.axhline(height, color=color, linewidth=1, alpha=0.6, zorder=0)
    text = "what one core can fetch by threads"
    axes.annotate(text, (0, height), (0, 3), textcoords="offset points", color=color, fontsize=9)


def _panel(axes: Axes, cells: Sequence[CellResult], room: float) -> None:
    """One workload: its executions against the ideal."""
    axes.set_xlabel("workers")
    if not cells:
        mark_empty(axes)
        return
    workers = sorted({1, *(cell.workers for cell in cells)})
    places = [math.log2(count) for count in workers]
    plot_ideal(axes, workers, math.log2)
    axes.set_xlim(-0.05 * (places[-1] or 1.0), places[-1])
    label_ends(axes, plot_speedups(axes, cells, math.log2), room)
    label_ticks(axes, places, [str(count) for count in workers])
    axes.yaxis.set_major_locator(LogLocator(2))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}×")
    plain_axes(axes)
