"""The figure of the study of the GIL: speedup against workers, a panel for each variant, a line for each execution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from parcount.report.figure import (
    finish,
    in_style,
    label_ends,
    label_ticks,
    name_panel,
    plain_axes,
    plot_ideal,
    plot_speedups,
)
from parcount.report.style import NEUTRAL
from parcount.studies.core.analysis import CellResult
from parcount.studies.core.result import Study

COLUMNS = 3

POSSIBLE = ("cython", "processes")
"""The variant and the execution of what the machine can give: processes share nothing, and this loop only counts."""

ROOM = 0.42
"""The share of a panel's width for the labels of its lines."""


@in_style
def draw(study: Study) -> Figure:
    """Return the figure: a panel for each variant that was measured with workers."""
    panels: dict[tuple[str, str], list[CellResult]] = {}
    for cell in study.cells:
        if cell.execution != "serial" and cell.speedup is not None:
            panels.setdefault((cell.workload, cell.variant), []).append(cell)
    columns = min(COLUMNS, len(panels)) or 1
    rows = math.ceil(len(panels) / columns) or 1
    figure = Figure(figsize=(3.6 * columns + 0.4, 2.7 * rows + 1.3), layout="constrained")
    cores = study.environment["cores"]["parallel"]
    shown = [cell for cells in panels.values() for cell in cells]
    workers = sorted({cell.workers for cell in shown})
    highest = max([1.0, *(cell.speedup.high for cell in shown if cell.speedup)])
    top = 1.1 * max(highest, min(1.25 * highest, cores, max(workers, default=1)))
    workloads = list(dict.fromkeys(workload for workload, _ in panels))
    for index, ((workload, variant), cells) in enumerate(panels.items()):
        axes = figure.add_subplot(rows, columns, index + 1)
        axes.set_ylim(0, top)
        possible = [cell for cell in panels.get((workload, POSSIBLE[0]), []) if cell.execution == POSSIBLE[1]]
        _panel(axes, cells, workers, cores, possible if variant != POSSIBLE[0] else [])
        name_panel(axes, f"{workload}: {variant}" if len(workloads) > 1 else variant)
        if index % columns == 0:
            axes.set_ylabel("times as fast as serial")
        if index >= len(panels) - columns:
            axes.set_xlabel("workers")
    if not panels:
        figure.text(0.5, 0.5, "no cell with workers was measured", ha="center", va="center")
    return finish(figure, f"Speedup by more workers: {', '.join(workloads)}", study)


def _panel(
    axes: Axes, cells: Sequence[CellResult], workers: Sequence[int], cores: int, possible: Sequence[CellResult]
) -> None:
    """One variant: its executions, at equal distances, against the ideal and what the machine can give."""
    last = len(workers) - 1
    beyond = [count for count in workers if count > cores]
    if beyond:
        start = workers.index(beyond[0]) - 0.5
        axes.axvspan(
            start, last + 0.2, color=NEUTRAL, alpha=0.13, linewidth=0, label="more workers than cores", zorder=0
        )
    plot_ideal(axes, workers, workers.index, cores)
    band = sorted((workers.index(cell.workers), cell.speedup) for cell in possible if cell.speedup)
    if band:
        places, speeds = zip(*band, strict=True)
        label = "what the machine can give: cython on processes"
        wide: dict[str, Any] = {"color": NEUTRAL, "alpha": 0.3, "linewidth": 6, "solid_capstyle": "round", "zorder": 1}
        axes.plot(places, [speed.median for speed in speeds], label=label, **wide)
        lows, highs = [speed.low for speed in speeds], [speed.high for speed in speeds]
        axes.fill_between(places, lows, highs, color=NEUTRAL, alpha=0.2, linewidth=0, zorder=1)
    axes.set_xlim(-0.5, last + 0.5)
    label_ends(axes, plot_speedups(axes, cells, workers.index), ROOM)
    label_ticks(axes, range(len(workers)), [str(count) for count in workers])
    plain_axes(axes)
