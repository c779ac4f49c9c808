"""Small SVG charts for HTML pages, and figures of Matplotlib as inline SVG.

A page with a strict Content-Security-Policy allows no style attributes: everything here has presentation attributes, or
classes of the page's style sheet.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from markupsafe import Markup

from parcount.report.style import NEUTRAL

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from parcount.studies.core.statistics import Estimate

SVG = "http://www.w3.org/2000/svg"
HREF = "{http://www.w3.org/1999/xlink}href"

WIDTH, HEIGHT = 320, 96
LEFT, TOP, BOTTOM = 46, 8, 20
"""Size of a chart of rounds, and the margins that its labels take."""


@dataclass(frozen=True)
class Scale:
    """Maps values to lengths: linearly, or logarithmically if the largest is more than eight times the smallest."""

    low: float
    high: float
    length: float

    @classmethod
    def of(cls, values: Sequence[float], length: float) -> Scale:
        """Return the scale of some values; one that is not logarithmic begins at zero."""
        low, high = min(values), max(values)
        return cls(low if 0 < low < high / 8 else 0.0, high or 1.0, length)

    def __call__(self, value: float) -> float:
        """Return where a value is."""
        linear = not self.low
        share = value / self.high if linear else math.log(value / self.low) / math.log(self.high / self.low)
        return round(self.length * share, 1)


def interval_chart(estimate: Estimate, scale: Scale) -> Markup:
    """Return a chart of an estimate: its interval as a bar, its median as a mark, and a line at 1."""
    low, middle, high = (scale(value) for value in (estimate.low, estimate.median, estimate.high))
    return Markup(
        '<svg class="interval" viewBox="-3 0 {width} 16" role="img"><title>{text}</title>'
        '<path class="one" d="M{one} 0v16"/><path class="bar" d="M{low} 8H{high}"/>'
        '<path class="median" d="M{middle} 3v10"/></svg>'
    ).format(
        width=scale.length + 6,
        text=estimate,
        one=scale(1),
        low=low,
        high=max(high, low + 0.5),
        middle=middle,
    )


def rounds_chart(values: Sequence[float], reference: float | None, label: Callable[[float], str]) -> Markup:
    """Return a chart of one value per round: a dot for each, a line at their median, and another at the reference."""
    shown = [*values, *([] if reference is None else [reference])]
    low, high = min(shown), max(shown)
    middle = median(values)
    step = (WIDTH - LEFT - 8) / max(1, len(values) - 1)
    span = HEIGHT - TOP - BOTTOM

    def y(value: float) -> float:
        return round(TOP + span * (0.5 if high == low else (high - value) / (high - low)), 1)

    dots = "".join(f"M{LEFT + index * step:.0f} {y(value):g}h0" for index, value in enumerate(values))
    ends = {y(value): label(value) for value in (low, high)}
    return Markup(
        '<svg class="rounds" viewBox="0 0 {width} {height}" role="img"><title>{title}</title>'
        '{reference}<path class="median" d="M{left} {middle}H{right}"/><path class="dots" d="{dots}"/>{ends}'
        '<text x="{left}" y="{foot}">round 1</text><text class="end" x="{right}" y="{foot}">{count}</text></svg>'
    ).format(
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=WIDTH - 8,
        foot=HEIGHT - 4,
        title=f"{len(values)} rounds from {label(min(values))} to {label(max(values))}, median {label(middle)}",
        reference=""
        if reference is None
        else Markup('<path class="one" d="M{} {}H{}"/>').format(LEFT, y(reference), WIDTH),
        middle=y(middle),
        dots=dots,
        ends=Markup("").join(
            Markup('<text class="end" x="{}" y="{}">{}</text>').format(LEFT - 6, height + 4, text)
            for height, text in ends.items()
        ),
        count=len(values),
    )


def presentation(style: str) -> dict[str, str]:
    """Return a style attribute of Matplotlib as presentation attributes, without the names of fonts.

    Examples
    --------
    >>> presentation("font: bold 10px 'DejaVu Sans', sans-serif; text-anchor: middle; fill: none")
    {'font-size': '10px', 'font-weight': 'bold', 'text-anchor': 'middle', 'fill': 'none'}
    """
    attributes = {}
    for declaration in style.split(";"):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        if name == "font" and (size := re.search(r"[\d.]+px", value)):  # of Matplotlib before 3.9
            attributes["font-size"] = size[0]
            if re.match("bold|[6-9]00", value):
                attributes["font-weight"] = "bold"
        elif name and name != "font-family":
            attributes[name] = value
    return attributes


def inline_figure(figure: Figure, title: str, prefix: str) -> Markup:
    """Return a figure of Matplotlib as an SVG element of an HTML page.

    Its text stays text, and what is neutral has the color of the page's text. Its background is transparent, and its
    style attributes become presentation attributes. The `prefix` keeps its ids apart from those of other figures.
    """
    import matplotlib as mpl

    content = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": prefix}):
        figure.savefig(content, format="svg", transparent=True, metadata=nothing)
    ElementTree.register_namespace("", SVG)
    root = ElementTree.fromstring(content.getvalue())
    used = set(re.findall(r'(?:href="|url\()#([\w.-]+)', content.getvalue()))
    for parent in [*root.iter()]:
        for child in [*parent]:
            if child.tag in (f"{{{SVG}}}style", f"{{{SVG}}}metadata"):
                parent.remove(child)
    for element in root.iter():
        attributes = element.attrib
        attributes.update(presentation(attributes.pop("style", "")))
        if HREF in attributes:
            attributes["href"] = attributes.pop(HREF).replace("#", f"#{prefix}")
        if "clip-path" in attributes:
            attributes["clip-path"] = attributes["clip-path"].replace("#", f"#{prefix}")
        if (name := attributes.pop("id", "")) in used:
            attributes["id"] = f"{prefix}{name}"
        if attributes.get("transform", "").startswith("rotate(-0 "):
            del attributes["transform"]
        for name in {"d", "points", "transform", "x", "y"}.intersection(attributes):
            rounded = re.sub(r"\d+\.\d+", lambda found: f"{float(found[0]):.1f}", attributes[name])
            attributes[name] = " ".join(rounded.split())
        element.tail = None
        if element.text is not None and not element.text.strip():
            element.text = None
    width, height = root.get("viewBox", "0 0 1 1").split()[2:]
    root.attrib = {"viewBox": f"0 0 {width} {height}", "role": "img", "class": "figure", "stroke-linejoin": "round"}
    heading = ElementTree.Element(f"{{{SVG}}}title")
    heading.text = title
    root.insert(0, heading)
    return Markup(ElementTree.tostring(root, encoding="unicode").replace(NEUTRAL, "currentColor"))
