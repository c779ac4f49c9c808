"""Figures: files, and what the figures of all studies share."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from parcount.report.output import is_regular, write_output
from parcount.report.style import STYLES, machine

if TYPE_CHECKING:
    from parcount.studies.core.analysis import CellResult
    from parcount.studies.core.result import Study

FORMATS = (".png", ".svg")


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


def finish(figure: Figure, title: str, study: Study) -> Figure:
    """Add one legend for all panels, and the title with the machine."""
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
    axes.grid(axis=grid, color="#e5e5e5", linewidth=0.7)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def label_ticks(axes: Axes, positions: Sequence[float], labels: Sequence[str], **how: Any) -> None:
    """Put these ticks on the horizontal axis and no others."""
    axes.xaxis.set_major_locator(FixedLocator(positions))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels(labels, **how)


def plot_speedups(axes: Axes, cells: Sequence[CellResult]) -> list[tuple[float, str]]:
    """Plot speedup against workers, a line for each execution; return the end and the color of each line."""
    ends = []
    for execution, style in STYLES.items():
        line = sorted((cell.workers, cell.speedup) for cell in cells if cell.execution == execution and cell.speedup)
        if not line:
            continue
        counts, speeds = zip(*line, strict=True)
        medians = [speed.median for speed in speeds]
        spread = [[speed.median - speed.low for speed in speeds], [speed.high - speed.median for speed in speeds]]
        axes.errorbar(counts, medians, spread, capsize=3, markersize=5, label=execution, **style)
        ends.append((medians[-1], style["color"]))
    return ends
