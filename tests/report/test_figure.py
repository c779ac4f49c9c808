from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from parcount.report.figure import save
from parcount.studies.core.result import Study
from parcount.studies.gil.figure import draw


def test_a_panel_for_each_variant_with_its_medians(study: Study) -> None:
    figure = draw(study)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["python", "cython", "cython-gil"]
    texts = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert texts == [["1.92×"], ["1.96×"], ["1.00×"]]


def test_axes_are_named_and_every_line_is_in_the_legend(study: Study) -> None:
    figure = draw(study)
    assert figure.axes[0].get_ylabel()
    assert any(axes.get_xlabel() for axes in figure.axes)
    labels = {text.get_text() for text in figure.legends[0].get_texts()}
    assert {"threads", "processes"} <= labels


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
