"""The figure of the study of the journal: records per second against their size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from parcount.report.figure import End, finish, in_style, label_ends, label_ticks, mark_empty, name_panel, plain_axes
from parcount.report.style import LOST
from parcount.report.units import format_bytes, in_words
from parcount.studies.core.analysis import MEASURED, CellResult
from parcount.studies.core.result import Study
from parcount.studies.journal.methods import METHODS, PROCESSES, THREADS
from parcount.studies.journal.table import append_time, wrong_share

STYLES: dict[str, dict[str, Any]] = {
    "reserve": {"color": "#009E73", "marker": "o", "linestyle": "-", "linewidth": 2.2},
    "lock": {"color": "#1A80C4", "marker": "s", "linestyle": "-", "linewidth": 2.2},
    "queue": {"color": "#C4659B", "marker": "D", "linestyle": "-", "linewidth": 2.2},
    "file.write": {"color": "#7D6BD6", "marker": "<", "linestyle": ":"},
    "file.write+flush": {"color": "#7D6BD6", "marker": ">", "linestyle": "--"},
    "os.write": {"color": "#AD7A00", "marker": "v", "linestyle": "--"},
    "mp.Queue": {"color": "#D55E00", "marker": "^", "linestyle": "--"},
    "queue.Queue": {"color": "#D55E00", "marker": "^", "linestyle": "--"},
    "QueueHandler": {"color": "#777777", "marker": "d", "linestyle": "-."},
    "concurrent-log-handler": {"color": "#777777", "marker": "x", "linestyle": ":"},
    "SQLite WAL": {"color": "#777777", "marker": "p", "linestyle": "--"},
}


@in_style
def draw(study: Study) -> Figure:
    """Return the figure: a panel for the most processes and one for the most threads, on the same scales."""
    figure = Figure(figsize=(11, 5.6), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    known = [cell for cell in study.cells if cell.status == MEASURED and cell.rate and cell.workers > 1]
    most = max((cell.workers for cell in known), default=0)
    known = [cell for cell in known if cell.workers == most]
    panels[0].set_yscale("log")
    if rates := [cell.rate or 1.0 for cell in known]:
        panels[0].set_ylim(0.6 * min(rates), 1.7 * max(rates))
    for axes, execution in zip(panels, (PROCESSES, THREADS), strict=True):
        name_panel(axes, f"{most} {execution}" if known else execution)
        _panel(axes, [cell for cell in known if cell.execution == execution])
    panels[0].set_ylabel("records per second, of all writers")
    return finish(figure, "Appending to one file: records per second against their size", study)


def _panel(axes: Axes, cells: Sequence[CellResult]) -> None:
    """A line for each method, with its interval if it is ours; what lost records is marked."""
    if not cells:
        mark_empty(axes)
        return
    ends = []
    for method, style in STYLES.items():
        line = sorted((cell for cell in cells if cell.variant == method), key=lambda cell: cell.record_bytes or 1)
        if not line:
            continue
        places = [math.log2(cell.record_bytes or 1) for cell in line]
        rates = [cell.rate or 1.0 for cell in line]
        axes.plot(places, rates, markersize=4.5, **style)
        if METHODS[method].exact:  # ten bands would hide each other
            times = [time for cell in line if (time := append_time(cell)) is not None]
            lows = [cell.workers / time.high for cell, time in zip(line, times, strict=True)]
            highs = [cell.workers / time.low for cell, time in zip(line, times, strict=True)]
            axes.fill_between(places, lows, highs, color=style["color"], alpha=0.2, linewidth=0)
        share = wrong_share(line)
        label = f"{method}, {100 * share:.2g} % wrong" if share else method
        ends.append(End(places[-1], rates[-1], label, LOST if share else style["color"]))
    sizes = sorted({cell.record_bytes or 1 for cell in cells})
    label_ticks(
        axes, [math.log2(size) for size in sizes], [format_bytes(size) for size in sizes], rotation=45, ha="right"
    )
    label_ends(axes, ends, 0.42)
    axes.set_xlabel("size of a record")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(lambda value, _: in_words(round(value)))
    plain_axes(axes)
