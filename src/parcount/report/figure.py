"""Figures: files, and what the figures of all studies share."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from matplotlib import style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from parcount.report.output import is_regular, write_output
from parcount.report.style import NEUTRAL, STYLES, machine

if TYPE_CHECKING:
    from parcount.studies.core.analysis import CellResult
    from parcount.studies.core.result import Study

Result = TypeVar("Result")

FORMATS = (".png", ".svg")

LINE = 12.0
"""Points from one line of small text to the next."""

COLORED = ("text.color", "axes.labelcolor", "axes.edgecolor", "axes.titlecolor", "xtick.color", "ytick.color")
RC: dict[str, Any] = {
    **dict.fromkeys(COLORED, NEUTRAL),
    **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), "none"),
}
"""Settings of matplotlib: nothing is behind a figure, and what is neutral is legible on white and on black."""


class End(NamedTuple):
    """The end of a line, with its label."""

    x: float
    y: float
    label: str
    color: str


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure to a file, PNG or SVG by its extension; ValueError if it is another, OSError if that fails."""
    content = io.BytesIO()
    figure.savefig(content, format=image_format(path), dpi=150)
    write_output(path, content.getvalue())


def image_format(path: str | os.PathLike[str]) -> str:
    """Return the format of a figure by the extension of its file; ValueError if it is none of `FORMATS`.

    Standard output, devices and pipes without an extension get PNG.
    """
    suffix = Path(path).suffix.lower()
    if not suffix and not is_regular(path):
        return "png"
    if suffix not in FORMATS:
        raise ValueError(f"a plot is {' or '.join(FORMATS)} by its extension: {os.fspath(path)}")
    return suffix[1:]


def in_style(draw: Callable[[Result], Figure]) -> Callable[[Result], Figure]:
    """Have a function draw in the style of all figures, whatever the settings of matplotlib are."""

    @wraps(draw)
    def styled(result: Result) -> Figure:
        with style.context(["default", RC]):
            return draw(result)

    return styled


def finish(figure: Figure, title: str, study: Study) -> Figure:
    """Add one legend for all panels, of what is labelled there, and the title with the machine."""
    handles: dict[str, Artist] = {}
    for axes in figure.axes:  # no panel need have every label
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if handles:
        figure.legend(
            list(handles.values()), list(handles), loc="outside lower center", ncols=len(handles), frameon=False
        )
    figure.suptitle(f"{title}\n{machine(study)}", fontsize=11)
    return figure


def name_panel(axes: Axes, title: str) -> None:
    """Write the title of a panel."""
    axes.set_title(title, fontsize=11, fontweight="bold", loc="left")


def mark_empty(axes: Axes) -> None:
    """Say that there is nothing to draw in a panel."""
    axes.text(0.5, 0.5, "nothing was measured", ha="center", va="center", transform=axes.transAxes)
    axes.set_xticks([])


def plain_axes(axes: Axes, grid: str = "y") -> None:
    """Draw a light grid, and no frame at the top and on the right."""
    axes.grid(axis=grid, color=NEUTRAL, alpha=0.25, linewidth=0.7)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def label_ticks(axes: Axes, positions: Sequence[float], labels: Sequence[str], **how: Any) -> None:
    """Put these ticks on the horizontal axis and no others."""
    axes.xaxis.set_major_locator(FixedLocator(positions))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels(labels, **how)


def label_ends(axes: Axes, ends: Sequence[End], room: float) -> None:
    """Write the label of each line beside its end, moved apart where two would overlap.

    The limits of the vertical axis must be set. `room` is the share of the panel's width that the labels take.
    """
    if not ends:
        return
    to_axes = axes.transScale + axes.transLimits
    low, _ = axes.get_xlim()
    right = max(end.x for end in ends)
    axes.set_xlim(low, right + (right - low or 1.0) * room / (1 - room))
    beside = sorted((end for end in ends if end.x == right), key=lambda end: end.y)
    heights = spread([float(to_axes.transform((end.x, end.y))[1]) for end in beside], LINE / axes_height(axes))
    for end, height in zip(beside, heights, strict=True):
        place = (float(to_axes.transform((end.x, end.y))[0]), height)
        axes.annotate(end.label, place, (9, 0), "axes fraction", "offset points", va="center", **_text(end))
    for end in ends:
        if end.x != right:
            axes.annotate(end.label, (end.x, end.y), (0, 8), textcoords="offset points", ha="center", **_text(end))


def axes_height(axes: Axes) -> float:
    """Return about how many points high a panel is, before its figure is laid out."""
    figure = axes.figure.get_figure(root=True)
    assert figure is not None
    spec = axes.get_subplotspec()
    rows = 1 if spec is None else spec.get_gridspec().nrows
    return (72 * figure.get_figheight() - 60) / rows - 50


def spread(heights: Sequence[float], apart: float) -> list[float]:
    """Return ascending heights from 0 to 1 that differ by at least `apart`, as near as possible to the given ones.

    Examples
    --------
    >>> spread([0.1, 0.5, 0.5], 0.2), spread([0.0, 0.0], 0.2)
    ([0.1, 0.4, 0.6], [0.0, 0.2])
    """
    groups: list[list[float]] = []  # of heights less the distances that they must have from the first
    for index, height in enumerate(heights):
        groups.append([height - index * apart])
        while len(groups) > 1 and _mean(groups[-2]) >= _mean(groups[-1]):
            last = groups.pop()
            groups[-1] += last
    middles = [_mean(group) for group in groups for _ in group]
    highest = 1 - (len(heights) - 1) * apart
    return [round(max(0.0, min(middle, highest)) + index * apart, 9) for index, middle in enumerate(middles)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _text(end: End) -> dict[str, Any]:
    return {"color": end.color, "fontsize": 9, "fontweight": "bold"}


def plot_speedups(axes: Axes, cells: Sequence[CellResult], place: Callable[[int], float]) -> list[End]:
    """Plot speedups with their intervals, a line for each execution; return the ends of the lines.

    `place` returns the position of a number of workers.
    """
    ends = []
    for execution, look in STYLES.items():
        line = sorted((cell.workers, cell.speedup) for cell in cells if cell.execution == execution and cell.speedup)
        if not line:
            continue
        counts, speeds = zip(*line, strict=True)
        medians = [speed.median for speed in speeds]
        spreads = [[speed.median - speed.low for speed in speeds], [speed.high - speed.median for speed in speeds]]
        places = [place(count) for count in counts]
        axes.errorbar(places, medians, spreads, capsize=3, markersize=5, **look)
        ends.append(End(places[-1], medians[-1], f"{execution} {medians[-1]:.2f}×", look["color"]))
    return ends


def plot_ideal(axes: Axes, counts: Sequence[int], place: Callable[[int], float], cores: float = math.inf) -> None:
    """Plot linear speedup, up to the number of cores."""
    places, heights = [place(count) for count in counts], [min(count, cores) for count in counts]
    axes.plot(places, heights, color=NEUTRAL, linewidth=1, linestyle=":", marker="_", markersize=9, label="ideal")
