from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from parcount.report.svg import Scale, inline_figure, interval_chart, presentation, rounds_chart
from parcount.studies.core.statistics import Estimate


@pytest.mark.parametrize(
    ("values", "at", "place"),
    [
        ([1.0, 2.0], 1.0, 50.0),
        ([0.5, 2.0], 0.0, 0.0),
        ([1.0, 16.0], 4.0, 50.0),
        ([1.0, 16.0], 16.0, 100.0),
        ([0.0], 0.0, 0.0),
    ],
)
def test_scales_begin_at_zero_unless_values_differ_much(values: list[float], at: float, place: float) -> None:
    assert Scale.of(values, 100)(at) == place


def test_an_interval_is_a_bar_from_its_low_to_its_high_end() -> None:
    chart = interval_chart(Estimate(1.5, 1.0, 2.0), Scale(0.0, 2.0, 100))
    one, bar, median = (path.get("d") for path in ElementTree.fromstring(chart).iter("path"))
    assert (one, bar, median) == ("M50.0 0v16", "M50.0 8H100.0", "M75.0 3v10")
    assert ElementTree.fromstring(chart).findtext("title") == "1.50× [1.00–2.00]"


def test_rounds_are_dots_in_their_order() -> None:
    chart = ElementTree.fromstring(rounds_chart([3.0, 1.0, 2.0], 1.5, str))
    reference, median, dots = (path.get("d") for path in chart.iter("path"))
    assert re.findall(r"M(\d+) ([\d.]+)h0", dots) == [("46", "8"), ("179", "76"), ("312", "42")]
    assert median == "M46 42.0H312"
    assert reference == "M46 59.0H320"
    assert [text.text for text in chart.iter("text")] == ["1.0", "3.0", "round 1", "3"]
    assert chart.findtext("title") == "3 rounds from 1.0 to 3.0, median 2.0"


def test_equal_rounds_have_one_label() -> None:
    chart = ElementTree.fromstring(rounds_chart([2.0], None, str))
    assert [text.text for text in chart.iter("text")] == ["2.0", "round 1", "1"]
    assert len([*chart.iter("path")]) == 2


def test_labels_of_charts_are_escaped() -> None:
    chart = rounds_chart([1.0, 2.0], None, lambda _: "<b>")
    assert "<b>" not in chart
    assert ElementTree.fromstring(chart).findtext("text") == "<b>"


@pytest.fixture
def figure() -> Figure:
    figure = Figure()
    axes = figure.subplots()
    axes.plot([1, 2], [3, 4], marker="o")
    axes.set_title("<title>", fontweight="bold")
    return figure


def test_a_figure_has_no_style_attributes_and_its_text_stays_text(figure: Figure) -> None:
    svg = ElementTree.fromstring(inline_figure(figure, "a & b", "s1-"))
    assert not [element for element in svg.iter() if "style" in element.attrib or element.tag.endswith("style")]
    assert "<title>" in [element.text for element in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert svg[0].text == "a & b"
    assert svg.get("role") == "img"


def test_ids_of_a_figure_begin_with_its_prefix_and_are_all_used(figure: Figure) -> None:
    text = inline_figure(figure, "a", "s1-")
    ids = set(re.findall(r' id="([^"]*)"', text))
    assert ids == set(re.findall(r'(?:href="|url\()#([^")]*)', text))
    assert ids
    assert all(name.startswith("s1-") for name in ids)
    other = set(re.findall(r' id="([^"]*)"', inline_figure(figure, "a", "s2-")))
    assert ids.isdisjoint(other)


def test_fonts_of_older_matplotlibs_have_a_size_and_a_weight() -> None:
    assert presentation("font: 10px 'DejaVu Sans'; fill: red") == {"font-size": "10px", "fill": "red"}
    assert presentation("font: 700 11.5px sans-serif") == {"font-size": "11.5px", "font-weight": "bold"}
    assert presentation("") == {}
