"""The figure of the study of transports: the time of one trip against the size of the array."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from parcount.report.figure import End, finish, in_style, label_ends, label_ticks, mark_empty, name_panel, plain_axes
from parcount.report.style import NEUTRAL
from parcount.report.units import format_bytes, format_seconds
from parcount.studies.core.analysis import CellResult
from parcount.studies.core.result import Study
from parcount.studies.core.statistics import Estimate
from parcount.studies.transports.table import time_of_trip
from parcount.studies.transports.verdict import ALONE, BACK, MAPPED, SHARED, THERE

STYLES: dict[str, dict[str, Any]] = {
    "pickle": {"color": "#AD7A00", "marker": "v", "linestyle": "--"},
    "pipe": {"color": "#1A80C4", "marker": "o", "linestyle": "-"},
    "queue": {"color": "#C4659B", "marker": "D", "linestyle": ":"},
    "shared_memory": {"color": "#D55E00", "marker": "s", "linestyle": "-."},
    SHARED: {"color": "#009E73", "marker": "^", "linestyle": "-"},
    MAPPED: {"color": "#7D6BD6", "marker": "<", "linestyle": "--"},
    ALONE: {"color": NEUTRAL, "marker": "", "linestyle": ":"},
}

TITLES = {THERE: "there: sent to a worker, which reads it", BACK: "back: made by a worker and read here"}


@in_style
def draw(study: Study) -> Figure:
    """Return the figure: a panel for each direction, on the same scales."""
    figure = Figure(figsize=(11, 5), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    known = [(cell, time) for cell in study.cells if cell.array_bytes and (time := time_of_trip(cell)) is not None]
    panels[0].set_yscale("log")
    if known:
        panels[0].set_ylim(0.7 * min(time.low for _, time in known), 1.4 * max(time.high for _, time in known))
    for axes, (direction, title) in zip(panels, TITLES.items(), strict=True):
        name_panel(axes, title)
        _panel(axes, [(cell, time) for cell, time in known if cell.direction == direction])
    figure.axes[0].set_ylabel("time of one trip")
    return finish(figure, "Time to send an array to a worker process and back", study)


def _panel(axes: Axes, cells: list[tuple[CellResult, Estimate]]) -> None:
    """A line with its interval for each method."""
    lines: dict[str, list[tuple[float, Estimate]]] = {}
    for cell, time in cells:
        lines.setdefault(cell.variant, []).append((math.log2(cell.array_bytes or 1), time))
    if not lines:
        mark_empty(axes)
        return
    ends = []
    for method, style in STYLES.items():
        if method in lines:
            places, times = zip(*lines[method], strict=True)
            medians = [time.median for time in times]
            axes.plot(places, medians, markersize=5, **style)
            lows, highs = [time.low for time in times], [time.high for time in times]
            axes.fill_between(places, lows, highs, color=style["color"], alpha=0.2, linewidth=0)
            ends.append(End(places[-1], medians[-1], "the work alone" if method == ALONE else method, style["color"]))
    sizes = sorted({cell.array_bytes or 1 for cell, _ in cells})
    texts = [format_bytes(size) for size in sizes]
    label_ticks(axes, [math.log2(size) for size in sizes], texts, rotation=45, ha="right")
    label_ends(axes, ends, 0.24)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(lambda value, _: format_seconds(value))
    plain_axes(axes)
