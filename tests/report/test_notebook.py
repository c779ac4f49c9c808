"""Results in notebooks; once in a real one."""

from __future__ import annotations

import sys
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import pytest

from parcount.report import notebook
from parcount.report.notebook import shown_progress, to_html
from parcount.report.table import Column, Table
from parcount.studies.core.claims import Verdict
from parcount.studies.core.result import Study
from tests.costmodel.synthetic import synthetic
from tests.remote import TIME_LIMIT

VOID = {"br", "img", "hr"}


class Tags(HTMLParser):
    """All tags and texts of some HTML, whose elements must be closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.attributes: set[str] = set()
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attributes}
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_study_is_its_answer_tables_and_figure(study: Study) -> None:
    html = study._repr_html_()
    found = Tags(html)
    answer, *others = study.verdict.sentences
    assert {answer, *others, "1.96×", "[1.96–1.96]", "processes 1.92×"} <= {*found.texts}
    assert found.tags.count("table") == 1
    assert found.tags.count("svg") == 1
    assert html.index("1.96×</td>") < html.index("<svg") < html.index("<details")
    assert "script" not in found.tags
    assert not [name for name in found.attributes if name.startswith("on")]


def test_a_plan_too() -> None:
    plan = synthetic()
    found = Tags(plan._repr_html_())
    assert {*plan.sentences, "5.05 ms", "82 thousand", "2 processes, sent"} <= {*found.texts}
    assert found.tags.count("table") == 2
    assert found.tags.count("svg") == 1


def test_what_a_result_says_is_escaped(study: Study) -> None:
    evil = "<script>alert(1)</script>"
    cells = [replace(cell, variant=evil) for cell in study.cells if cell.variant == "cython"]
    html = replace(study, cells=cells, verdict=Verdict("yes", [evil, evil]))._repr_html_()
    assert "<script" not in html
    assert Tags(html).texts.count(evil) >= 3
    table = Table(evil, [Column(evil, left=True)], [[evil]])
    assert "<script" not in to_html(["Yes."], [table], [evil], lambda: study.plot())


def test_without_matplotlib_there_is_no_figure(study: Study) -> None:
    def missing() -> Any:
        raise ImportError("No module named 'matplotlib'")

    html = to_html(["Yes."], [Table("", [Column("a")], [["1"]])], [], missing)
    assert "<svg" not in html
    assert "<table>" in html


def test_an_interruption_before_the_first_round_is_a_sentence(study: Study) -> None:
    cells = [replace(cell, status="interrupted", seconds=[]) for cell in study.cells]
    nothing = replace(study, cells=cells, verdict=Verdict("undecided", ["Interrupted."]), complete=False)
    assert nothing._repr_html_() == "<div><p><b>Interrupted.</b></p></div>"
    assert repr(nothing) == "<parcount study 'gil': undecided, 0 of 6 cells, 0 rounds, interrupted>"


def test_reprs_are_one_line_and_equality_is_that_of_the_fields(study: Study) -> None:
    assert repr(study) == "<parcount study 'gil': yes, 6 of 6 cells, 12 rounds, complete>"
    assert repr(synthetic()) == (
        "<parcount plan: bincount of 10 000 000 int64 keys in 1 024 bins, 2 cores, 10 predictions>"
    )
    assert replace(study) == study
    assert replace(study, complete=False) != study


def test_tables_as_text(study: Study) -> None:
    text = study.table()
    assert "1.96×  [1.96–1.96]" in text
    assert "start-up" not in text
    assert "start-up" in study.table(details=True)
    assert "[1.96–1.96]" not in study.table(width=40)
    assert "meaning" in synthetic().table()


class Bar:
    def __init__(self) -> None:
        self.shown: list[str] = []

    def update(self, html: str) -> None:
        self.shown.append(html)


@pytest.fixture
def bar(monkeypatch: pytest.MonkeyPatch) -> Bar:
    """What a kernel would show."""
    bar = Bar()
    shell = SimpleNamespace(kernel=object())
    module = SimpleNamespace(HTML=str, display=lambda _html, display_id: bar)  # noqa: ARG005 - as IPython's
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell, display=module))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return bar


def test_a_notebook_shows_a_bar_that_goes_in_the_end(bar: Bar, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook, "monotonic", iter([0.0, 0.1, 0.6]).__next__)
    with shown_progress(None) as report:
        report("<first>", 1.0, 10.0)
        report("too soon", 2.0, 10.0)
        report("third", 3.0, 10.0)
    assert bar.shown == [
        '<progress value="1.0" max="10.0"></progress> &lt;first&gt;, 9 s left',
        '<progress value="3.0" max="10.0"></progress> third, 7 s left',
        "",
    ]


def test_a_bar_goes_after_an_interruption_too(bar: Bar) -> None:
    with pytest.raises(KeyboardInterrupt), shown_progress(None):
        raise KeyboardInterrupt
    assert bar.shown == [""]


def test_there_is_no_bar_if_progress_is_reported_elsewhere(bar: Bar) -> None:
    def report(what: str, passed: float, expected: float) -> None: ...

    with shown_progress(report) as progress:
        assert progress is report
    assert bar.shown == []


@pytest.mark.parametrize("ipython", [None, SimpleNamespace(get_ipython=lambda: None)])
def test_there_is_none_outside_a_notebook(ipython: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    with shown_progress(None) as progress:
        assert progress is None


CELLS = [
    "import parcount as pc",
    "pc.study('gil', variants=['cython'], executions=['threads'], workers=[1, 2], size=1000, seconds=0.01)",
    "study = _; print(repr(study)); print(study.table())",
    "pc.plan('tally', size=10_000, seconds=0.01, workers=2, nodes=10)",
    "study.plot()",
]


def test_a_real_notebook() -> None:
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in CELLS])
    seen: list[str] = []

    class Client(nbclient.NotebookClient):  # type: ignore[name-defined]
        def process_message(self, message: Any, *others: Any) -> Any:
            seen.append(str(message["content"].get("data", {}).get("text/html", "")))
            return super().process_message(message, *others)

    Client(book, timeout=TIME_LIMIT, kernel_name="python3").execute()
    _, study, shown, plan, figure = (cell.outputs for cell in book.cells)
    result = next(output for output in study if output.output_type == "execute_result")
    assert result.data["text/plain"].startswith("<parcount study 'gil': ")
    assert {"table", "svg"} <= {*Tags(result.data["text/html"]).tags}
    text = "".join(output.text for output in shown)
    assert text.startswith(result.data["text/plain"])
    assert "variant  on" in text
    predicted = next(output for output in plan if output.output_type == "execute_result")
    assert {"table", "svg"} <= {*Tags(predicted.data["text/html"]).tags}
    assert figure[0].output_type == "execute_result"
    assert any("<progress" in html for html in seen)
