"""A study of I/O as a figure: pages a second against workers, and the speedup of what computes beside it."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from parcount.report.style import STYLES, machine
from parcount.studies.core.analysis import CellResult
from parcount.studies.core.result import Study
from parcount.studies.io.verdict import CONTROL, FETCH, cost


def draw(study: Study) -> Figure:
    """The figure: the same scale on both sides, so that the one's climb and the other's lie beside each other."""
    figure = Figure(figsize=(9, 4.4), layout="constrained")
    fetching, computing = figure.subplots(1, 2, sharey=True, width_ratios=(2, 1))
    known = [cell for cell in study.cells if cell.speedup is not None and cell.execution != "serial"]
    delay = study.options["delay"]
    _panel(fetching, [cell for cell in known if cell.workload == FETCH], f"waits: pages that come after {delay:g} ms")
    _panel(computing, [cell for cell in known if cell.workload == CONTROL], "computes: the loop of tally")
    fetching.set_ylabel("times as fast as serial")
    _limit(fetching, study)
    legends = [dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True)) for axes in figure.axes]
    handles = {label: handle for legend in reversed(legends) for label, handle in legend.items()}
    if handles:
        figure.legend(handles.values(), handles, loc="outside lower center", ncols=len(handles), frameon=False)
    figure.suptitle(f"Speedup by more workers where Python waits, and where it computes\n{machine(study)}", fontsize=11)
    return figure


def _limit(axes: Axes, study: Study) -> None:
    """Where the threads that fetched most would have taken all of one core."""
    cells = [cell for cell in study.cells if cell.workload == FETCH and cell.rate and cost(cell)]
    serial = next((cell for cell in cells if cell.execution == "serial"), None)
    best = max((cell for cell in cells if cell.execution == "threads"), key=lambda cell: cell.rate or 0.0, default=None)
    if serial is None or best is None:
        return
    height = 1 / (cost(best) or 1.0) / (serial.rate or 1.0)
    axes.axhline(height, color="#0072B2", linewidth=1, alpha=0.5, zorder=0)
    text = "what one core can fetch by threads"
    axes.annotate(text, (1, height), (0, 3), textcoords="offset points", color="#0072B2", alpha=0.8, fontsize=9)


def _panel(axes: Axes, cells: list[CellResult], title: str) -> None:
    """One workload: its executions against the line on which every worker buys as much as the first."""
    axes.set_title(title, fontsize=11, fontweight="bold", loc="left")
    axes.set_xlabel("workers")
    if not cells:
        axes.text(0.5, 0.5, "nothing was measured", ha="center", va="center", transform=axes.transAxes)
        axes.set_xticks([])
        return
    workers = sorted({1, *(cell.workers for cell in cells)})
    axes.plot(workers, workers, color="#999999", linewidth=1, linestyle=":", label="linear speedup")
    for execution, look in STYLES.items():
        line = sorted((cell for cell in cells if cell.execution == execution), key=lambda cell: cell.workers)
        known = [(cell.workers, cell.speedup) for cell in line if cell.speedup is not None]
        if not known:
            continue
        spread = [
            [speed.median - speed.low for _, speed in known],
            [speed.high - speed.median for _, speed in known],
        ]
        counts, medians = [count for count, _ in known], [speed.median for _, speed in known]
        axes.errorbar(counts, medians, spread, capsize=3, markersize=5, label=execution, **look)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(workers))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([str(count) for count in workers])
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}×")
    axes.grid(axis="y", color="#e5e5e5", linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
