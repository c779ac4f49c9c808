"""A study as a figure: speedup against workers, a panel for each variant, a line for each execution."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from parcount.report.style import STYLES, machine
from parcount.studies.core.analysis import CellResult
from parcount.studies.core.result import Study

COLUMNS = 3


def draw(study: Study) -> Figure:
    """The figure: a panel for each variant that was measured with workers."""
    panels: dict[tuple[str, str], list[CellResult]] = {}
    for cell in study.cells:
        if cell.execution != "serial" and cell.speedup is not None:
            panels.setdefault((cell.workload, cell.variant), []).append(cell)
    columns = min(COLUMNS, len(panels)) or 1
    rows = math.ceil(len(panels) / columns) or 1
    figure = Figure(figsize=(3.4 * columns + 0.4, 2.7 * rows + 1.3), layout="constrained")
    available = study.environment["cores"]["available"]
    workers = sorted({cell.workers for cells in panels.values() for cell in cells})
    highest = max(
        [*workers, *(cell.speedup.high for cells in panels.values() for cell in cells if cell.speedup)], default=1
    )
    several = len({workload for workload, _ in panels}) > 1
    for index, ((workload, variant), cells) in enumerate(panels.items()):
        axes = figure.add_subplot(rows, columns, index + 1)
        _panel(axes, cells, workers, highest, available)
        axes.set_title(f"{workload}: {variant}" if several else variant, fontsize=11, fontweight="bold", loc="left")
        if index % columns == 0:
            axes.set_ylabel("times as fast as serial")
        if index >= len(panels) - columns:
            axes.set_xlabel("workers")
    if panels:
        # No panel need have every execution: each label once, from the first that has it.
        legends = [dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True)) for axes in figure.axes]
        handles = {label: handle for legend in reversed(legends) for label, handle in legend.items()}
        figure.legend(handles.values(), handles, loc="outside lower center", ncols=len(handles), frameon=False)
    else:
        figure.text(0.5, 0.5, "no cell with workers was measured", ha="center", va="center")
    workloads = ", ".join(dict.fromkeys(workload for workload, _ in panels))
    figure.suptitle(f"Speedup by more workers: {workloads}\n{machine(study)}", fontsize=11)
    return figure


def _panel(axes: Axes, cells: list[CellResult], workers: list[int], highest: float, available: int) -> None:
    """One variant: its executions against the line on which every worker buys as much as the first."""
    ends = [min(workers), max(min(workers), min(max(workers), available))]
    axes.plot(ends, ends, color="#999999", linewidth=1, linestyle=":", label="linear speedup")
    if max(workers) > available:
        axes.axvspan(available, max(workers) * 1.05, color="#eeeeee", label="more workers than cores", zorder=0)
    labels: list[tuple[float, str, str]] = []
    for execution, look in STYLES.items():
        line = sorted((cell for cell in cells if cell.execution == execution), key=lambda cell: cell.workers)
        known = [(cell.workers, cell.speedup) for cell in line if cell.speedup is not None]
        if not known:
            continue
        medians = [speed.median for _, speed in known]
        spread = [
            [speed.median - speed.low for _, speed in known],
            [speed.high - speed.median for _, speed in known],
        ]
        axes.errorbar([count for count, _ in known], medians, spread, capsize=3, markersize=5, label=execution, **look)
        labels.append((medians[-1], f"{medians[-1]:.2f}×", look["color"]))
    top = 1.08 * highest
    _label(axes, max(workers), labels, top)
    axes.set_ylim(0, top)
    if len(workers) > 4:
        axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(workers))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([str(count) for count in workers])
    room = (max(workers) - min(workers)) or 1
    axes.set_xlim(min(workers) - 0.12 * room if len(workers) <= 4 else min(workers) * 0.85, max(workers) + 0.32 * room)
    axes.grid(axis="y", color="#e5e5e5", linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)


def _label(axes: Axes, x: float, labels: list[tuple[float, str, str]], top: float) -> None:
    """Write each line's last value beside it, moved apart where two would lie on each other."""
    apart = 0.09 * top
    labels = sorted(labels)
    heights = [value for value, _, _ in labels]
    for index in range(1, len(heights)):
        if (lack := apart - (heights[index] - heights[index - 1])) > 0:
            heights[index - 1] -= lack / 2
            heights[index] += lack / 2
    for height, (_, text, color) in zip(heights, labels, strict=True):
        axes.annotate(text, (x, height), (8, 0), textcoords="offset points", va="center", color=color, fontsize=9)
