"""The page in a real Chromium, without a window."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from parcount.report.html import read_embedded, render
from parcount.studies.core.comparison import compare_studies
from parcount.studies.core.result import Study
from tests.report.pages import FEW, hostile_study, noisy_study

webdriver = pytest.importorskip("selenium.webdriver", reason="Selenium is not installed")
axe = pytest.importorskip("axe_core_python.selenium", reason="axe-core is not installed")

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
SCREENSHOTS = Path(__file__).parents[2] / "build" / "report"
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="there is no Chromium with its driver"),
    pytest.mark.slow,
    pytest.mark.xdist_group("browser"),
    pytest.mark.filterwarnings("default::ResourceWarning"),  # of Selenium's connections
]


@dataclass
class Browser:
    """A Chromium, and what tests ask of it."""

    driver: Any

    def open(self, page: Path, *, width: int = 1280, dark: bool = False, script: bool = True, media: str = "") -> None:
        """Open a file in a window of this width."""
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.command("Emulation.setEmulatedMedia", media=media, features=features)
        self.command("Emulation.setScriptExecutionDisabled", value=not script)
        self.logs()
        self.driver.get(page.as_uri())

    def command(self, name: str, **parameters: Any) -> Any:
        return self.driver.execute_cdp_cmd(name, parameters)

    def logs(self) -> tuple[list[str], list[str]]:
        """Return what the console has, and the addresses that were requested, since the last call."""
        console = [entry["message"] for entry in self.driver.get_log("browser")]
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [one["params"]["request"]["url"] for one in events if one["method"] == "Network.requestWillBeSent"]
        return console, sent

    def all(self, selector: str) -> list[Any]:
        return self.driver.find_elements("css selector", selector)

    def one(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def style(self, selector: str, name: str) -> str:
        return self.run("return getComputedStyle(arguments[0])[arguments[1]]", self.one(selector), name)

    def screenshot(self, name: str) -> None:
        """Save a picture of the whole page."""
        size = self.command("Page.getLayoutMetrics")["cssContentSize"]
        picture = self.command("Page.captureScreenshot", captureBeyondViewport=True, clip={**size, "scale": 1})
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        (SCREENSHOTS / name).write_bytes(base64.b64decode(picture["data"]))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    downloads = {"download.default_directory": str(tmp_path_factory.mktemp("downloads"))}
    options.add_experimental_option("prefs", downloads)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield Browser(driver)
    driver.quit()


@pytest.fixture(scope="module")
def study() -> Study:
    return noisy_study()


@pytest.fixture(scope="module")
def page(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _written(tmp_path_factory, render([study]))


@pytest.fixture(scope="module")
def every_kind(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with several studies, one interrupted and one of hostile text, and a comparison."""
    old, new = noisy_study(14, FEW), noisy_study(3, FEW, partial=True)
    comparison = compare_studies([old, new], ["old.json", "new.json"])
    return _written(tmp_path_factory, render([old, new, hostile_study()], [comparison]))


def _written(directories: pytest.TempPathFactory, text: str) -> Path:
    path = directories.mktemp("page") / "report.html"
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("name", ["page", "every_kind"])
def test_nothing_but_the_page_is_requested_and_the_console_stays_empty(
    browser: Browser, name: str, request: pytest.FixtureRequest
) -> None:
    page = request.getfixturevalue(name)
    browser.open(page)
    browser.one("#open").click()
    console, sent = browser.logs()
    assert sent == [page.as_uri()]
    assert console == []


def test_what_the_policy_does_not_allow_is_refused(browser: Browser, page: Path) -> None:
    """An empty console and no request mean something only if the logs would have them."""
    browser.open(page)
    browser.run("document.body.insertAdjacentHTML('beforeend', '<img src=https://example.org/a.png><p style=top:0>')")
    console, sent = browser.logs()
    assert [one for one in console if "example.org" in one and "Content Security Policy" in one]
    assert [one for one in console if "style" in one and "Content Security Policy" in one]
    assert len(sent) == 2


def test_a_click_shows_the_rounds_of_a_cell(browser: Browser, page: Path, study: Study) -> None:
    browser.open(page)
    (cell,) = [cell for cell in study.cells if cell.key == ("tally", "cython", "threads", 2)]
    (row,) = [row for row in browser.all("tr") if row.text.startswith("cython 2 threads")]
    details, panel = (row.find_element("css selector", one) for one in ("details", ".panel"))
    assert not panel.is_displayed()
    details.find_element("css selector", "summary").click()
    assert panel.is_displayed()
    texts = [figure.text for figure in panel.find_elements("css selector", ".values")]
    assert texts[0].split() == [f"{ratio:.3g}" for ratio in cell.ratios]
    assert texts[1].split() == [f"{1000 * seconds:.3g}" for seconds in cell.seconds]
    assert all(chart.is_displayed() for chart in panel.find_elements("css selector", "svg.rounds"))
    details.find_element("css selector", "summary").click()
    assert not panel.is_displayed()


def test_the_keyboard_opens_the_rounds_and_its_focus_is_seen(browser: Browser, page: Path) -> None:
    browser.open(page)
    summary = browser.one(".cells summary")
    browser.run("arguments[0].focus({focusVisible: true})", summary)
    assert browser.style(".cells summary", "outlineStyle") == "solid"
    summary.send_keys("\n")
    assert browser.one(".cells .panel").is_displayed()


def test_a_claim_leads_to_its_cells(browser: Browser, page: Path) -> None:
    browser.open(page)
    link = browser.one(".claims a")
    link.click()
    target = browser.one(":target")
    assert target.text.startswith("cython 2 processes")
    assert target.find_element("css selector", ".panel").is_displayed()
    assert link.text == "tally/cython/processes/2"


def test_a_button_opens_all_rounds_and_closes_them(browser: Browser, page: Path) -> None:
    browser.open(page)
    button = browser.one("#open")
    assert button.is_displayed()
    button.click()
    assert len(browser.all("details.samples[open]")) == 34
    button.click()
    assert browser.all("details.samples[open]") == []


def test_without_scripts_everything_is_there(browser: Browser, page: Path) -> None:
    browser.open(page, script=False)
    assert browser.one("h2").text == "Yes."
    assert not browser.one(".tools").is_displayed()
    assert len(browser.all(".cells tbody tr")) == 30
    panel = browser.one(".cells .panel")
    assert not panel.is_displayed()
    browser.one(".cells summary").click()
    assert panel.is_displayed()


def test_in_print_all_rounds_are_open(browser: Browser, page: Path) -> None:
    browser.open(page, media="print", dark=True)
    assert browser.run("return [...document.querySelectorAll('.panel')].every((one) => one.checkVisibility())")
    assert not browser.one(".tools").is_displayed()
    assert browser.style("body", "color") == "rgb(0, 0, 0)"
    assert browser.style("svg.figure text", "fill") == "rgb(0, 0, 0)"
    assert base64.b64decode(browser.command("Page.printToPDF")["data"]).startswith(b"%PDF")


@pytest.mark.parametrize("width", [360, 800, 1100, 1280])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_fits_every_width(browser: Browser, every_kind: Path, page: Path, width: int, dark: bool) -> None:
    for one in (page, every_kind):
        browser.open(one, width=width, dark=dark)
        browser.one("#open").click()
        assert browser.run("return document.documentElement.scrollWidth") <= width
        left = "[...document.querySelectorAll('.panel figure')].map((one) => one.getBoundingClientRect().left)"
        assert browser.run(f"return Math.min(...{left})") >= 0
    browser.open(page, width=width, dark=dark)
    browser.one(".claims summary").click()
    browser.one(".cells summary").click()
    browser.screenshot(f"{width}-{'dark' if dark else 'light'}.png")


def test_dark_mode_has_its_own_colours(browser: Browser, page: Path) -> None:
    browser.open(page)
    light = _lightness(browser)
    browser.open(page, dark=True)
    dark = _lightness(browser)
    assert [value > 128 for value in (*light, *dark)] == [True, False, False, False, True, True]


def _lightness(browser: Browser) -> list[float]:
    """How light the page, its text and the text of the figure are, from 0 to 255."""
    of = {"body": ("backgroundColor", "color"), "svg.figure text": ("fill",)}
    colors = [browser.style(selector, name) for selector, names in of.items() for name in names]
    return [sum(map(float, color[color.index("(") + 1 : -1].split(",")[:3])) / 3 for color in colors]


@pytest.mark.parametrize(
    ("name", "width", "dark"), [("page", 1280, False), ("every_kind", 1280, True), ("every_kind", 360, False)]
)
def test_axe_finds_no_violation(
    browser: Browser, name: str, width: int, dark: bool, request: pytest.FixtureRequest
) -> None:
    browser.open(request.getfixturevalue(name), width=width, dark=dark)
    browser.one("#open").click()
    found = axe.Axe().run(browser.driver)
    assert len(found["passes"]) > 20
    assert [(one["id"], [node["html"][:200] for node in one["nodes"][:3]]) for one in found["violations"]] == []


def test_axe_would_find_one(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.run("document.documentElement.lang = ''; document.querySelector('svg title').remove()")
    found = axe.Axe().run(browser.driver)
    assert {"html-has-lang", "svg-img-alt"} <= {one["id"] for one in found["violations"]}


def test_a_page_that_the_browser_has_parsed_reads_back(browser: Browser, every_kind: Path) -> None:
    browser.open(every_kind)
    text = browser.run("return document.getElementById('result').textContent")
    assert json.loads(text) == read_embedded(every_kind.read_text(encoding="utf-8"))
    assert browser.run("return [document.compatMode, document.characterSet]") == ["CSS1Compat", "UTF-8"]
