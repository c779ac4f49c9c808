from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import rc_context
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from parcount.report.figure import save, spread
from parcount.report.style import LOST, NEUTRAL, STYLES
from parcount.report.svg import SVG, inline_figure
from parcount.studies.core.result import Study
from parcount.studies.core.statistics import Estimate
from parcount.studies.gil.figure import draw
from parcount.studies.journal.figure import STYLES as APPENDING
from parcount.studies.transports.figure import STYLES as METHODS


def test_a_panel_for_each_variant_with_its_medians(study: Study) -> None:
    figure = draw(study)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["python", "cython", "cython-gil"]
    texts = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert texts == [["processes 1.92×"], ["threads 1.96×"], ["threads 1.00×"]]


def test_axes_are_named_and_the_legend_has_the_references(study: Study) -> None:
    apart = replace(study.cells[3], execution="processes", speedup=Estimate(1.9, 1.8, 2.0))
    figure = draw(replace(study, cells=[*study.cells, apart]))
    assert figure.axes[0].get_ylabel()
    assert any(axes.get_xlabel() for axes in figure.axes)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["ideal", "what the machine can give: cython on processes"]


def test_worker_counts_have_equal_distances_and_those_beyond_the_cores_are_shaded(study: Study) -> None:
    more = [replace(cell, workers=workers) for cell in study.cells[2:4] for workers in (4, 128)]
    (axes,) = draw(replace(study, cells=[*study.cells[2:4], *more[2:]])).axes
    assert [text.get_text() for text in axes.get_xticklabels()] == ["2", "4", "128"]
    assert [*axes.get_xticks()] == [0, 1, 2]
    cores = study.environment["cores"]["parallel"]
    shaded = axes.patches[0].get_window_extent().transformed(axes.transData.inverted())
    assert shaded.x0 == pytest.approx([2, 4, 128].index(next(count for count in (2, 4, 128) if count > cores)) - 0.5)


def test_intervals_are_drawn(study: Study) -> None:
    cells = [replace(cell, speedup=Estimate(1.5, 1.25, 1.75)) for cell in study.cells if cell.execution != "serial"]
    for axes in draw(replace(study, cells=cells)).axes:
        _, _, (bars,) = axes.containers[0]
        (segment,) = bars.get_segments()
        assert sorted(segment[:, 1]) == [1.25, 1.75]


def luminance(color: str) -> float:
    red, green, blue = (((value + 0.055) / 1.055) ** 2.4 if value > 0.04 else value / 12.92 for value in to_rgb(color))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(
    "color", [NEUTRAL, LOST, *(style["color"] for each in (STYLES, METHODS, APPENDING) for style in each.values())]
)
def test_every_color_is_legible_on_white_and_on_dark(color: str) -> None:
    """As WCAG 2.2 asks of graphics: a contrast of three."""
    least, most = 3 * (luminance("#121212") + 0.05) - 0.05, (1 + 0.05) / 3 - 0.05
    assert least < luminance(color) < most


def test_nothing_is_behind_a_figure(study: Study, tmp_path: Path) -> None:
    save(draw(study), tmp_path / "a.png")
    pixels = imread(tmp_path / "a.png")
    assert pixels[0, 0, 3] == 0
    assert pixels[..., 3].max() == 1


def test_in_a_page_text_stays_text_and_has_the_color_of_the_page(study: Study) -> None:
    svg = inline_figure(draw(study), "a figure", "f1-")
    texts = {"".join(element.itertext()) for element in ElementTree.fromstring(svg).iter(f"{{{SVG}}}text")}
    assert {"cython-gil", "processes 1.92×", "workers"} <= texts
    assert "currentColor" in svg
    assert NEUTRAL not in svg


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_labels_of_lines_are_apart_and_inside(heights: list[float]) -> None:
    placed = spread(sorted(heights), 0.15)
    assert all(0 <= height <= 1.000001 for height in placed)
    assert all(upper - lower >= 0.149999 for lower, upper in pairwise(placed))


def test_labels_that_have_room_stay() -> None:
    assert spread([0.1, 0.5, 0.9], 0.15) == [0.1, 0.5, 0.9]


def test_settings_of_matplotlib_do_not_matter(study: Study) -> None:
    with rc_context({"axes.facecolor": "red", "text.color": "yellow"}):
        figure = draw(study)
    assert figure.axes[0].get_facecolor()[3] == 0
    assert {text.get_color() for axes in figure.axes for text in (axes.title, axes.xaxis.label)} == {NEUTRAL}


def test_png_and_svg_by_the_extension(study: Study, tmp_path: Path) -> None:
    save(draw(study), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    save(draw(study), tmp_path / "a.SVG")
    assert ElementTree.parse(tmp_path / "a.SVG").getroot().tag.endswith("svg")


@pytest.mark.parametrize("name", ["a.pdf", "a", "png"])
def test_other_extensions_are_refused(study: Study, name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.png or \.svg"):
        save(draw(study), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_study_without_workers_draws_a_picture_that_says_so(study: Study) -> None:
    figure = draw(replace(study, cells=[cell for cell in study.cells if cell.execution == "serial"]))
    assert any("no cell" in text.get_text() for text in figure.texts)
