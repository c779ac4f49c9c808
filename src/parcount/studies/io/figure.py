"""The figure of the study of I/O: speedup against workers, of what waits and of what computes."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from parcount.report.figure import finish, label_ticks, mark_empty, name_panel, plain_axes, plot_speedups
from parcount.report.style import STYLES
from parcount.studies.core.analysis import CellResult
from parcount.studies.core.findings import fastest, select, serial
from parcount.studies.core.result import Study
from parcount.studies.io.verdict import CONTROL, FETCH, per_unit


def draw(study: Study) -> Figure:
    """Return the figure: both panels have the same scale."""
    figure = Figure(figsize=(9, 4.4), layout="constrained")
    fetching, computing = figure.subplots(1, 2, sharey=True, width_ratios=(2, 1))
    known = [cell for cell in study.cells if cell.speedup is not None and cell.execution != "serial"]
    name_panel(fetching, f"waits: pages that come after {study.options['delay']:g} ms")
    name_panel(computing, "computes: the loop of tally")
    for axes, workload in ((fetching, FETCH), (computing, CONTROL)):
        _panel(axes, [cell for cell in known if cell.workload == workload])
    fetching.set_ylabel("times as fast as serial")
    _limit(fetching, study)
    return finish(figure, "Speedup by more workers where Python waits, and where it computes", study)


def _limit(axes: Axes, study: Study) -> None:
    """Draw how many pages one core has CPU time for, by the threads that fetched most."""
    alone, best = serial(study.cells, FETCH), fastest(select(study.cells, FETCH, "threads"))
    if alone is None or best is None or not alone.rate or not (price := per_unit(best, best.cpu)):
        return
    height, color = 1 / price / alone.rate, STYLES["threads"]["color"]
    axes.axhline(height, color=color, linewidth=1, alpha=0.5, zorder=0)
    text = "what one core can fetch by threads"
    axes.annotate(text, (1, height), (0, 3), textcoords="offset points", color=color, alpha=0.8, fontsize=9)


def _panel(axes: Axes, cells: Sequence[CellResult]) -> None:
    """One workload: its executions against linear speedup."""
    axes.set_xlabel("workers")
    if not cells:
        mark_empty(axes)
        return
    workers = sorted({1, *(cell.workers for cell in cells)})
    axes.plot(workers, workers, color="#999999", linewidth=1, linestyle=":", label="linear speedup")
    plot_speedups(axes, cells)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    label_ticks(axes, workers, [str(count) for count in workers])
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}×")
    plain_axes(axes)
