"""The figure of the study of counters: the cost of an increment by each method."""

from __future__ import annotations

from matplotlib.figure import Figure

from parcount.report.figure import finish, plain_axes
from parcount.report.style import STYLES
from parcount.studies.core.result import Study
from parcount.studies.counters.verdict import cost, lost_share, total_lost

ALONE = {"color": "#777777", "marker": "D"}


def draw(study: Study) -> Figure:
    """Return the figure: a line for each method, a mark for each execution, on a logarithmic scale."""
    methods = list(dict.fromkeys(cell.variant for cell in study.cells))
    figure = Figure(figsize=(8, 0.32 * len(methods) + 2.2), layout="constrained")
    axes = figure.add_subplot()
    most = max((cell.workers for cell in study.cells), default=1)
    for cell in study.cells:
        nanoseconds = cost(cell)
        if nanoseconds is None or cell.workers not in (1, most):
            continue
        alone = cell.execution == "serial"
        style = ALONE if alone else {name: STYLES[cell.execution][name] for name in ("color", "marker")}
        height = methods.index(cell.variant)
        label = "one worker" if alone else f"{most} {cell.execution}"
        axes.plot(nanoseconds, height, linestyle="", label=label, **style)
        if total_lost(cell):
            text, place = f"loses {lost_share(cell):.2g} %", (nanoseconds, height)
            axes.annotate(text, place, (9, 0), textcoords="offset points", va="center", color="#B00020")
    axes.set_yticks(range(len(methods)), methods)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("wall-clock nanoseconds per increment")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    plain_axes(axes, "both")
    return finish(figure, "Cost of counting with several workers", study)
