"""The figure of the study of the GIL: speedup against workers, a panel for each variant, a line for each execution."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from parcount.report.figure import finish, label_ticks, name_panel, plain_axes, plot_speedups
from parcount.studies.core.analysis import CellResult
from parcount.studies.core.result import Study

COLUMNS = 3


def draw(study: Study) -> Figure:
    """Return the figure: a panel for each variant that was measured with workers."""
    panels: dict[tuple[str, str], list[CellResult]] = {}
    for cell in study.cells:
        if cell.execution != "serial" and cell.speedup is not None:
            panels.setdefault((cell.workload, cell.variant), []).append(cell)
    columns = min(COLUMNS, len(panels)) or 1
    rows = math.ceil(len(panels) / columns) or 1
    figure = Figure(figsize=(3.4 * columns + 0.4, 2.7 * rows + 1.3), layout="constrained")
    available = study.environment["cores"]["parallel"]
    shown = [cell for cells in panels.values() for cell in cells]
    workers = sorted({cell.workers for cell in shown})
    highest = max([*workers, *(cell.speedup.high for cell in shown if cell.speedup)], default=1)
    workloads = list(dict.fromkeys(workload for workload, _ in panels))
    for index, ((workload, variant), cells) in enumerate(panels.items()):
        axes = figure.add_subplot(rows, columns, index + 1)
        _panel(axes, cells, workers, highest, available)
        name_panel(axes, f"{workload}: {variant}" if len(workloads) > 1 else variant)
        if index % columns == 0:
            axes.set_ylabel("times as fast as serial")
        if index >= len(panels) - columns:
            axes.set_xlabel("workers")
    if not panels:
        figure.text(0.5, 0.5, "no cell with workers was measured", ha="center", va="center")
    return finish(figure, f"Speedup by more workers: {', '.join(workloads)}", study)


def _panel(axes: Axes, cells: Sequence[CellResult], workers: Sequence[int], highest: float, available: int) -> None:
    """One variant: its executions against linear speedup."""
    least, most = min(workers), max(workers)
    ends = [least, max(least, min(most, available))]
    axes.plot(ends, ends, color="#999999", linewidth=1, linestyle=":", label="linear speedup")
    if most > available:
        axes.axvspan(available, most * 1.05, color="#eeeeee", label="more workers than cores", zorder=0)
    top = 1.08 * highest
    _label(axes, most, sorted(plot_speedups(axes, cells)), top)
    axes.set_ylim(0, top)
    if len(workers) > 4:
        axes.set_xscale("log", base=2)
    label_ticks(axes, workers, [str(count) for count in workers])
    margin = (most - least) or 1
    axes.set_xlim(least - 0.12 * margin if len(workers) <= 4 else least * 0.85, most + 0.32 * margin)
    plain_axes(axes)


def _label(axes: Axes, x: float, ends: Sequence[tuple[float, str]], top: float) -> None:
    """Write each line's last value beside it, moved apart where two would overlap."""
    apart = 0.09 * top
    heights = [value for value, _ in ends]
    for index in range(1, len(heights)):
        if (lack := apart - (heights[index] - heights[index - 1])) > 0:
            heights[index - 1] -= lack / 2
            heights[index] += lack / 2
    for height, (value, color) in zip(heights, ends, strict=True):
        place = (x, height)
        axes.annotate(f"{value:.2f}×", place, (8, 0), textcoords="offset points", va="center", color=color, fontsize=9)
