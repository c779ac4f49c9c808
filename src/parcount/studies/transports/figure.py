"""The figure of the study of transports: the time of one trip against the size of the array."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from parcount.report.figure import finish, label_ticks, mark_empty, name_panel, plain_axes
from parcount.report.units import format_bytes, format_seconds
from parcount.studies.core.analysis import CellResult
from parcount.studies.core.result import Study
from parcount.studies.transports.verdict import ALONE, BACK, MAPPED, SHARED, THERE, trip_time

STYLES: dict[str, dict[str, Any]] = {
    "pickle": {"color": "#E69F00", "marker": "v", "linestyle": "--"},
    "pipe": {"color": "#0072B2", "marker": "o", "linestyle": "-"},
    "queue": {"color": "#CC79A7", "marker": "D", "linestyle": ":"},
    "shared_memory": {"color": "#D55E00", "marker": "s", "linestyle": "-."},
    SHARED: {"color": "#009E73", "marker": "^", "linestyle": "-"},
    MAPPED: {"color": "#56B4E9", "marker": "<", "linestyle": "--"},
    ALONE: {"color": "#777777", "marker": "", "linestyle": ":"},
}

TITLES = {THERE: "there: sent to a worker, which reads it", BACK: "back: made by a worker and read here"}


def draw(study: Study) -> Figure:
    """Return the figure: a panel for each direction, on the same scales."""
    figure = Figure(figsize=(10, 5.2), layout="constrained")
    for axes, (direction, title) in zip(figure.subplots(1, 2, sharey=True), TITLES.items(), strict=True):
        name_panel(axes, title)
        _panel(axes, study.cells, direction)
    figure.axes[0].set_ylabel("time of one trip")
    return finish(figure, "Time to send an array to a worker process and back", study)


def _panel(axes: Axes, cells: list[CellResult], direction: str) -> None:
    """A line for each method."""
    lines: dict[str, list[tuple[int, float]]] = {}
    for cell in cells:
        size, seconds = cell.array_bytes, trip_time(cell)
        if cell.direction == direction and size is not None and seconds is not None:
            lines.setdefault(cell.variant, []).append((size, seconds))
    if not lines:
        mark_empty(axes)
        return
    for method, style in STYLES.items():
        if method in lines:
            label = "the work alone" if method == ALONE else method
            axes.plot(*zip(*lines[method], strict=True), markersize=5, label=label, **style)
    sizes = sorted({size for line in lines.values() for size, _ in line})
    axes.set_xscale("log")
    axes.set_yscale("log")
    label_ticks(axes, sizes, [format_bytes(size) for size in sizes], rotation=45, ha="right")
    axes.yaxis.set_major_formatter(lambda value, _: format_seconds(value))
    plain_axes(axes)
