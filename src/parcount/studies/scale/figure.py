"""The figure of the study of the user's function: speedup against workers, a panel for each Python."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

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
from parcount.report.style import NEUTRAL
from parcount.studies.core.result import Study
from parcount.studies.scale.runtime import RELEASED, TARGET
from parcount.studies.scale.table import needed_cores

ROOM = 0.42
"""The share of a panel's width for the labels of its lines."""

LONGEST = 60
"""Characters of a target in a title."""


@in_style
def draw(study: Study) -> Figure:
    """Return the figure: a panel for each Python that was measured with workers."""
    shown = [cell for cell in study.cells if cell.execution != "serial" and cell.speedup is not None]
    variants = list(dict.fromkeys(cell.variant for cell in shown if cell.workload == TARGET)) or [""]
    figure = Figure(figsize=(4.2 * len(variants) + 0.4, 4.0), layout="constrained")
    cores = needed_cores(study)
    workers = sorted({cell.workers for cell in shown if cell.workload == TARGET})
    highest = max([1.0, *(cell.speedup.high for cell in shown if cell.speedup)])
    for index, variant in enumerate(variants, 1):
        axes = figure.add_subplot(1, len(variants), index)
        cells = [cell for cell in shown if (cell.workload, cell.variant) == (TARGET, variant)]
        if not cells:
            mark_empty(axes)
            continue
        axes.set_ylim(0, 1.1 * highest)
        plot_ideal(axes, workers, workers.index, cores)
        control = sorted(
            (workers.index(cell.workers), cell.speedup.median)
            for cell in shown
            if (cell.workload, cell.variant, cell.execution) == (RELEASED, variant, "threads")
            and cell.workers in workers
            and cell.speedup
        )
        if control:
            wide: dict[str, Any] = {"color": NEUTRAL, "alpha": 0.3, "linewidth": 6, "solid_capstyle": "round"}
            axes.plot(
                *zip(*control, strict=True), label="control: a loop that shares nothing", marker="o", zorder=1, **wide
            )
        axes.set_xlim(-0.5, len(workers) - 0.5)
        label_ends(axes, plot_speedups(axes, cells, workers.index), ROOM)
        label_ticks(axes, range(len(workers)), [str(count) for count in workers])
        plain_axes(axes)
        name_panel(axes, variant)
        axes.set_xlabel("workers")
        if index == 1:
            axes.set_ylabel("times as many calls as one")
    target = " ".join(str(study.options.get("target")).split())
    return finish(figure, target if len(target) <= LONGEST else f"{target[: LONGEST - 1]}…", study)
