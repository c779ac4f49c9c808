"""A study of transports as a figure: the time of one trip against the size of the array."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from parcount.report.style import machine
from parcount.studies.core.analysis import CellResult
from parcount.studies.core.result import Study
from parcount.studies.transports.units import format_bytes, format_seconds
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
    """The figure: a panel for each direction, on the same scales."""
    figure = Figure(figsize=(10, 5.2), layout="constrained")
    for axes, (direction, title) in zip(figure.subplots(1, 2, sharey=True), TITLES.items(), strict=True):
        axes.set_title(title, fontsize=11, fontweight="bold", loc="left")
        _panel(axes, study.cells, direction)
    figure.axes[0].set_ylabel("time of one trip")
    handles = dict(zip(*reversed(figure.axes[0].get_legend_handles_labels()), strict=True))
    if handles:
        figure.legend(handles.values(), handles, loc="outside lower center", ncols=len(handles), frameon=False)
    figure.suptitle(f"Time to send an array to a worker process and back\n{machine(study)}", fontsize=11)
    return figure


def _panel(axes: Axes, cells: list[CellResult], direction: str) -> None:
    """A line for each way."""
    lines: dict[str, list[tuple[int, float]]] = {}
    for cell in cells:
        size, seconds = cell.array_bytes, trip_time(cell)
        if cell.direction == direction and size is not None and seconds is not None:
            lines.setdefault(cell.variant, []).append((size, seconds))
    if not lines:
        axes.text(0.5, 0.5, "nothing was measured", ha="center", va="center", transform=axes.transAxes)
        axes.set_xticks([])
        return
    for way, look in STYLES.items():
        if way in lines:
            axes.plot(
                *zip(*lines[way], strict=True), markersize=5, label="the work alone" if way == ALONE else way, **look
            )
    sizes = sorted({size for line in lines.values() for size, _ in line})
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([format_bytes(size) for size in sizes], rotation=45, ha="right")
    axes.yaxis.set_major_formatter(lambda value, _: format_seconds(value))
    axes.grid(axis="y", color="#e5e5e5", linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
