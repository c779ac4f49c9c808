"""Run each snippet of the documentation as a program of its own, and check the links.

A snippet is a block of ```python. A block of ```text that follows directly is its expected output.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet

from tests.remote import TIME_LIMIT

ROOT = Path(__file__).parents[1]
PAGES = [*filter(Path.is_file, (ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))),
         *sorted((ROOT / "docs").glob("*.md"))]  # fmt: skip
OPTIONAL = {"dask", "distributed", "joblib", "loky", "matplotlib", "mpi4py", "numba", "rich"}
SNIPPET = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://)([^)#]*)(#[^)]*)?\)")


def snippets(page: Path) -> Iterator[ParameterSet]:
    """The source and the expected output of each snippet on a page."""
    text = page.read_text(encoding="utf-8")
    for match in SNIPPET.finditer(text):
        yield pytest.param(*match.groups(), id=f"{page.name}-{text[: match.start()].count(chr(10)) + 1}")


@pytest.mark.parametrize(("source", "output"), [snippet for page in PAGES for snippet in snippets(page)])
def test_a_snippet_runs_by_itself(source: str, output: str | None, tmp_path: Path) -> None:
    for module in OPTIONAL & set(re.findall(r"^(?:from|import) (\w+)", source, re.MULTILINE)):
        pytest.importorskip(module)
    assert "_native" not in source
    (tmp_path / "snippet.py").write_text(source, encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "snippet.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    if output is not None:
        assert ran.stdout == output


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {"#" + re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.skipif(not (ROOT / "README.md").is_file(), reason="there is no checkout beside these tests")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for path, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        target = page.parent / path if path else page
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), path + anchor


@pytest.mark.skipif(not (ROOT / "README.md").is_file(), reason="there is no checkout beside these tests")
def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
