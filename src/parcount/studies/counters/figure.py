"""A study of counters as a figure: for each way to count, what an increment costs one worker, and several."""

from __future__ import annotations

from matplotlib.figure import Figure

from parcount.report.style import STYLES, machine
from parcount.studies.core.result import Study
from parcount.studies.counters.verdict import cost, total_lost

ALONE = {"color": "#777777", "marker": "D"}


def draw(study: Study) -> Figure:
    """The figure: a line for each way, a mark for each who counts, from cheap to dear on a scale of factors."""
    ways = list(dict.fromkeys(cell.variant for cell in study.cells))
    figure = Figure(figsize=(8, 0.32 * len(ways) + 2.2), layout="constrained")
    axes = figure.add_subplot()
    most = max((cell.workers for cell in study.cells), default=1)
    labelled = set()
    for cell in study.cells:
        nanoseconds = cost(cell)
        if nanoseconds is None or cell.workers not in (1, most):
            continue
        alone = cell.execution == "serial"
        look = ALONE if alone else {name: STYLES[cell.execution][name] for name in ("color", "marker")}
        label = "one worker" if alone else f"{most} {cell.execution}"
        height = ways.index(cell.variant)
        axes.plot(nanoseconds, height, linestyle="", label="" if label in labelled else label, **look)
        labelled.add(label)
        if total_lost(cell):
            text = f"loses {100 * total_lost(cell) / ((cell.work or 1) * len(cell.seconds)):.2g} %"
            axes.annotate(text, (nanoseconds, height), (9, 0), textcoords="offset points", va="center", color="#B00020")
    axes.set_yticks(range(len(ways)), ways)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("wall-clock nanoseconds per increment")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(color="#e5e5e5", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if labelled:
        figure.legend(loc="outside lower center", ncols=len(labelled), frameon=False)
    figure.suptitle(f"Cost of counting with several workers\n{machine(study)}", fontsize=11)
    return figure
