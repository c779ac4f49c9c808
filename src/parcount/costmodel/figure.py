"""The figure of a plan: the predicted speedup against the number of keys, a line for each setup."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from parcount.costmodel.model import SERIAL, Setup
from parcount.costmodel.table import setup_label
from parcount.report.figure import End, in_style, label_ends, plain_axes
from parcount.report.style import NEUTRAL, STYLES
from parcount.report.units import in_words

if TYPE_CHECKING:
    from parcount.costmodel.result import Plan

LEAST, MOST = 3, 11
"""Powers of ten of the keys that are shown, unless the job has more or fewer."""

LOOKS: dict[str, dict[str, Any]] = {
    "threads": {**STYLES["threads"], "linestyle": "-"},
    "processes": {**STYLES["processes"], "linestyle": "-"},
    "processes, shared": {**STYLES["processes"], "linestyle": "-"},
    "processes, sent": {**STYLES["processes"], "linestyle": ":"},
    "nodes": {**STYLES["asyncio"], "linestyle": "-"},
    "nodes, sent": {**STYLES["asyncio"], "linestyle": ":"},
}


@in_style
def draw(plan: Plan) -> Figure:
    """Return the figure: where a line is above 1, its setup pays."""
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    axes = figure.add_subplot()
    keys = plan.job.size
    sizes = np.geomspace(min(10**LEAST, keys), max(10**MOST, keys), 60)
    model = plan.model
    setups: dict[str, Setup] = {}
    for one in plan.predictions:
        if one.setup.nodes is not None or one.setup.workers <= max(2, plan.cores):
            setups.setdefault(setup_label(one.setup, keys=bool(plan.job.key_bytes)), one.setup)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(sizes[0], sizes[-1])
    ends, speeds = [], [1.0]
    for label, setup in setups.items():
        serial = np.array([model.seconds(SERIAL, size) for size in sizes])
        times = np.array([replace(plan, job=replace(plan.job, size=int(size))).interval(setup) for size in sizes])
        medians = serial / [model.seconds(setup, size) for size in sizes]
        look = {name: LOOKS[label][name] for name in ("color", "linestyle")}
        axes.plot(sizes, medians, **look)
        axes.fill_between(
            sizes, serial / times[:, 1], serial / times[:, 0], color=look["color"], alpha=0.15, linewidth=0
        )
        ends.append(End(sizes[-1], float(medians[-1]), f"{setup.size} {label}", look["color"]))
        speeds += [*medians]
    axes.set_ylim(max(1e-2, 0.7 * min(speeds)), 1.5 * max(speeds))
    axes.axhline(1, color=NEUTRAL, linewidth=1)
    axes.axvline(keys, color=NEUTRAL, linewidth=1, linestyle=":")
    axes.annotate("this job", (keys, axes.get_ylim()[1]), (4, -4), textcoords="offset points", va="top", fontsize=9)
    axes.set_xlabel("keys")
    axes.set_ylabel("times as fast as one core")
    label_ends(axes, ends, 0)
    axes.set_xticks([10**power for power in range(LEAST, MOST + 1, 2)])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: in_words(int(value)).replace(".0 ", " ")))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_locator(NullLocator())
    plain_axes(axes)
    figure.suptitle(f"Predicted speedup: {plan.job}\n{plan.machine}", fontsize=11)
    return figure
