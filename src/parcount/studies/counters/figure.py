"""The figure of the study of counters: the cost of an increment by each method."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from parcount.report.figure import finish, in_style, plain_axes
from parcount.report.style import LOST, NEUTRAL, STYLES
from parcount.studies.core.result import Study
from parcount.studies.counters.table import price
from parcount.studies.counters.verdict import lost_share, total_lost

MARKS = {
    "serial": {"color": NEUTRAL, "marker": "D"},
    **{name: {key: STYLES[name][key] for key in ("color", "marker")} for name in ("threads", "processes")},
}
OFFSETS = {"serial": -0.25, "threads": 0.0, "processes": 0.25}
"""The marks of one method are below each other."""


@in_style
def draw(study: Study) -> Figure:
    """Return the figure: a line for each method, a mark with an interval for each execution, on a logarithmic scale."""
    methods = list(dict.fromkeys(cell.variant for cell in study.cells))
    figure = Figure(figsize=(8, 0.38 * len(methods) + 2.2), layout="constrained")
    axes = figure.add_subplot()
    most = max((cell.workers for cell in study.cells), default=1)
    for cell in study.cells:
        found = price(cell)
        if found is None or cell.workers not in (1, most):
            continue
        alone = cell.execution == "serial"
        height = methods.index(cell.variant) + OFFSETS[cell.execution]
        label = "one worker" if alone else f"{most} {cell.execution}"
        spread = [[found.median - found.low], [found.high - found.median]]
        axes.errorbar(
            found.median,
            height,
            xerr=spread,
            linestyle="",
            label=label,
            capsize=2,
            markersize=5,
            **MARKS[cell.execution],
        )
        if total_lost(cell):
            place = (found.high, height)
            text = f"loses {lost_share(cell):.2g} %"
            axes.annotate(text, place, (7, 0), textcoords="offset points", va="center", color=LOST, fontsize=9)
    for height in range(len(methods) - 1):
        axes.axhline(height + 0.5, color=NEUTRAL, alpha=0.25, linewidth=0.7)
    axes.set_yticks(range(len(methods)), methods)
    axes.tick_params("y", length=0)
    axes.set_ylim(len(methods) - 0.5, -0.5)
    axes.set_xscale("log")
    axes.set_xlabel("wall-clock nanoseconds per increment")
    axes.xaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.margins(x=0.12)
    plain_axes(axes, "x")
    return finish(figure, "Cost of counting with several workers", study)
