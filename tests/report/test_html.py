from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from parcount.report.html import read_embedded, render
from parcount.studies.core.comparison import compare_studies
from parcount.studies.core.result import Study
from parcount.studies.core.statistics import Estimate
from tests.report.pages import FEW, HOSTILE, hostile_study, noisy_study

VOID = {"br", "hr", "img", "input", "link", "meta"}
FETCHING = {"src", "srcset", "data", "poster", "background", "action", "formaction", "style"}


class Page(HTMLParser):
    """What a page has: its elements with their attributes, and the text in each; its tags must match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self._open[-1] if self._open else "", data))

    def every(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self, *tags: str) -> list[str]:
        return [data for tag, data in self.texts if tag in tags]


@pytest.fixture(scope="module")
def noisy() -> Study:
    return noisy_study()


@pytest.fixture(scope="module")
def page(noisy: Study) -> str:
    return render([noisy])


@pytest.fixture(scope="module", params=["noisy", "hostile", "interrupted", "nothing", "several"])
def any_page(request: pytest.FixtureRequest, noisy: Study) -> str:
    return render(dict(_kinds(noisy))[request.param])


@pytest.fixture
def no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty figure: drawing one is most of the time that a page takes."""
    monkeypatch.setattr(Study, "plot", lambda _: Figure(figsize=(1, 1)))


def _kinds(noisy: Study) -> Iterator[tuple[str, list[Study]]]:
    yield "noisy", [noisy]
    yield "hostile", [hostile_study()]
    yield "interrupted", [noisy_study(2, FEW, partial=True)]
    yield "nothing", [noisy_study(0, FEW, partial=True)]
    yield "several", [noisy_study(3, FEW), hostile_study()]


def test_the_answer_comes_first(page: str, noisy: Study) -> None:
    heading, *_ = Page(page).text("h2")
    assert noisy.verdict.sentences[0].startswith(heading)
    assert heading == "Yes."
    assert page.index(heading) < page.index("Claims")


@pytest.mark.usefixtures("no_figure")
@pytest.mark.parametrize(
    ("answer", "rest"),
    [
        ("No.", "On 2 threads it is 1.02×: no more."),
        ("counter += 1, on 2 threads: none lost.", "That was observed."),
        ("It is undecided:", f"{', '.join(['there are numbers'] * 5)}. More."),
    ],
)
def test_only_the_beginning_of_a_long_answer_is_large(noisy: Study, answer: str, rest: str) -> None:
    verdict = replace(noisy.verdict, sentences=[f"{answer} {rest}"])
    shown = Page(render([replace(noisy, verdict=verdict)]))
    assert shown.text("h2")[0] == answer
    assert rest in shown.text("p")


def test_every_claim_has_its_interval_its_limit_and_its_samples(page: str, noisy: Study) -> None:
    shown = Page(page)
    for claim in noisy.verdict.claims:
        assert claim.statement in shown.text("th")
        estimate = str(claim.estimate).replace("×", "" if claim.quantity == "parallel share" else "×")
        assert estimate in shown.text("td")
        assert str(claim.bound) in shown.text("td")
        assert len(claim.samples) == 14
        assert " ".join(f"{value:.3g}" for value in claim.samples) in shown.text("p")
    assert [*filter({"holds", "does not hold"}.__contains__, shown.text("span"))] == [
        "holds" if claim.holds else "does not hold" for claim in noisy.verdict.claims
    ]


def test_every_cell_has_the_samples_of_its_numbers(page: str, noisy: Study) -> None:
    values = Page(page).text("p")
    measured = [cell for cell in noisy.cells if cell.seconds]
    assert len(measured) == 30
    for cell in measured:
        assert " ".join(f"{1000 * seconds:.3g}" for seconds in cell.seconds) in values
        if cell.execution != "serial":
            assert " ".join(f"{ratio:.3g}" for ratio in cell.ratios) in values
            assert str(cell.speedup) in Page(page).text("td")


def test_the_tables_of_the_command_are_shown_with_what_they_mean(page: str, noisy: Study) -> None:
    shown = Page(page)
    (table,) = noisy.tables()
    assert shown.text("caption")[0] == table.title
    texts = shown.text("td", "th")
    for row in table.first_sight().rows:
        assert {text for text in row if text} <= set(texts)
    assert set(noisy.legend()) <= set(shown.text("p"))


@pytest.mark.usefixtures("no_figure")
def test_a_speedup_near_zero_keeps_its_digits(noisy: Study) -> None:
    slow = replace(noisy.cells[1], speedup=Estimate(0.00123, 0.0011, 0.002))
    shown = Page(render([replace(noisy, cells=[noisy.cells[0], slow, *noisy.cells[2:]])]))
    assert "0.0012× [0.0011–0.002]" in shown.text("td")


def test_links_lead_to_the_cells_of_a_claim(any_page: str) -> None:
    shown = Page(any_page)
    ids = [attributes["id"] for _, attributes in shown.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {attributes["href"] for attributes in shown.every("a")}
    assert targets <= {f"#{one}" for one in ids}


def test_claims_of_a_study_link_to_cells(page: str) -> None:
    assert len(Page(page).every("a")) == 6


def test_cells_that_did_not_run_are_listed_with_the_reason(page: str) -> None:
    shown = Page(page)
    assert "not supported" in shown.text("strong")
    assert ": Python 3.11 has no interpreters " in shown.text("li")
    assert any(text.startswith("tally, python, 2 interpreters; ") for text in shown.text("span"))


@pytest.mark.usefixtures("no_figure")
def test_an_interrupted_study_says_so(noisy: Study) -> None:
    shown = Page(render([noisy_study(2, FEW, partial=True)]))
    assert "interrupted" in shown.text("strong")
    assert "The study was interrupted. The verdict rests on the rounds before that." in shown.text("p")
    assert "interrupted" not in Page(render([noisy])).text("strong")


@pytest.mark.usefixtures("no_figure")
def test_a_result_without_the_samples_of_ratios_has_the_times(noisy: Study) -> None:
    cells = [replace(cell, ratios=[]) for cell in noisy.cells]
    claims = [replace(claim, samples=[]) for claim in noisy.verdict.claims]
    shown = Page(render([replace(noisy, cells=cells, verdict=replace(noisy.verdict, claims=claims))]))
    assert shown.text("figcaption") == ["time of a run in ms"] * 30
    assert shown.text("td").count("none") == 4


@pytest.mark.usefixtures("no_figure")
def test_wrong_counts_are_marked(noisy: Study) -> None:
    wrong = replace(noisy.cells[0], status="failed", reason="the counts were not exact", exact=False)
    shown = Page(render([replace(noisy, cells=[wrong, *noisy.cells[1:]])]))
    assert "failed" in shown.text("strong")
    assert ": the counts were not exact " in shown.text("li")


@pytest.mark.usefixtures("no_figure")
def test_hostile_text_stays_text() -> None:
    shown = Page(render([hostile_study()]))
    assert len(shown.every("script")) == 2
    assert HOSTILE in shown.text("dd")
    assert any(HOSTILE in text for text in shown.text("h2"))
    assert [json.loads(text)[0]["environment"]["cpu"] for text in shown.text("script") if "alert" in text] == [HOSTILE]


@pytest.mark.usefixtures("no_figure")
def test_each_study_of_several_has_a_section() -> None:
    shown = Page(render([noisy_study(3, FEW), hostile_study(), hostile_study()]))
    labels = [attributes["aria-labelledby"] for attributes in shown.every("section")]
    assert labels == ["s1-name s1-answer", "s2-name s2-answer", "s3-name s3-answer", "method"]


@pytest.mark.usefixtures("no_figure")
def test_a_comparison_has_both_rates_the_ratio_and_the_difference(noisy: Study) -> None:
    slower = [
        replace(cell, seconds=[2 * seconds for seconds in cell.seconds], rate=cell.rate and cell.rate / 2)
        for cell in noisy.cells
    ]
    comparison = compare_studies([noisy, replace(noisy, cells=slower)], ["old.json", "new.json"])
    shown = Page(render(comparison.studies, [comparison]))
    assert shown.text("h2")[0] == comparison.sentences[0]
    assert shown.text("p")[0] == "Comparison of 2 results of parcount study gil"
    assert shown.text("p")[1 : len(comparison.sentences)] == comparison.sentences[1:]
    assert "new.json against old.json" in shown.text("h3")
    assert shown.text("td").count("slower") == 30
    assert any(text.startswith("0.50× [") for text in shown.text("td"))
    links = {attributes["href"] for attributes in shown.every("a")}
    assert {f"#s{number}-c{cell}" for number in (1, 2) for cell in range(30)} <= links


class TestSafety:
    def test_only_the_hashed_style_and_script_are_allowed(self, any_page: str) -> None:
        shown = Page(any_page)
        (policy,) = [meta["content"] for meta in shown.every("meta") if meta.get("http-equiv")]
        directives = dict(one.split(" ", 1) for one in policy.split("; "))
        assert directives["default-src"] == "'none'"
        for tag, directive in (("style", "style-src"), ("script", "script-src")):
            (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", any_page, re.DOTALL)
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert directives[directive] == f"'sha256-{digest}'"

    def test_nothing_is_fetched(self, any_page: str) -> None:
        for tag, attributes in Page(any_page).elements:
            assert not FETCHING.intersection(attributes), tag
            assert not [name for name in attributes if name.startswith("on")]
            assert (attributes.get("href") or "#").startswith("#")
            assert tag not in {
                "link",
                "img",
                "iframe",
                "object",
                "embed",
                "base",
                "form",
                "image",
                "animate",
                "foreignobject",
            }
            assert "//" not in (attributes.get("clip-path") or "")
        style = any_page[any_page.index("<style>") : any_page.index("</style>")]
        assert "url(" not in style
        assert "@import" not in style

    def test_the_json_is_no_markup(self, any_page: str) -> None:
        content = any_page[any_page.index('id="result"') :].partition(">")[2].partition("</script>")[0]
        assert "<" not in content


class TestStructure:
    def test_headings_are_in_order(self, any_page: str) -> None:
        levels = [int(tag[1]) for tag, _ in Page(any_page).elements if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))

    def test_it_names_its_language_and_itself(self, page: str) -> None:
        shown = Page(page)
        assert page.startswith("<!DOCTYPE html>\n")
        assert shown.every("html") == [{"lang": "en"}]
        assert any(text.startswith("gil: Yes.") for text in shown.text("title"))

    def test_table_headers_have_a_scope_and_charts_a_title(self, any_page: str) -> None:
        shown = Page(any_page)
        assert {header.get("scope") for header in shown.every("th")} <= {"col", "row"}
        assert all(chart["role"] == "img" for chart in shown.every("svg"))
        assert len(re.findall(r"<svg[^>]*><title>[^<]", any_page)) == len(shown.every("svg")) > 0


class TestReadingBack:
    @pytest.mark.usefixtures("no_figure")
    def test_each_is_what_its_file_has(self, noisy: Study, tmp_path: Path) -> None:
        studies = [noisy, hostile_study(), noisy_study(0, FEW, partial=True)]
        for study, content in zip(studies, read_embedded(render(studies)), strict=True):
            study.save(tmp_path / "a.json")
            assert json.loads((tmp_path / "a.json").read_text()) == content
            (tmp_path / "a.json").write_text(json.dumps(content))
            assert Study.load(tmp_path / "a.json") == study

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "<html></html>",
            "{}",
            '<script id="result">{}</script>',
            '<script id="result">[1',
            '<script id="result">[1]</script>',
        ],
    )
    def test_another_page_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="not a report of parcount"):
            read_embedded(text)


@pytest.mark.parametrize("rounds", [14, 400])
def test_the_default_study_takes_at_most_300_kilobytes(rounds: int) -> None:
    assert len(render([noisy_study(rounds)]).encode()) <= 300_000


def test_a_page_is_the_same_each_time(page: str, noisy: Study) -> None:
    assert render([noisy]) == page


def test_jinja_is_imported_for_pages_only() -> None:
    code = (
        "import sys, parcount.cli, parcount.studies.core.result; assert not {'jinja2', 'markupsafe'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
