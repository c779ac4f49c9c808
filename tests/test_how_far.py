"""The page docs/how-far.md: what is a number in it comes from docs/how-far.json, by bench/how_far.py."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from parcount.planning.model import SERIAL, Way
from parcount.planning.quantities import QUANTITIES
from tests.planning.synthetic import synthetic

ROOT = Path(__file__).parents[1]
PAGE, NUMBERS, SCRIPT = ROOT / "docs/how-far.md", ROOT / "docs/how-far.json", ROOT / "bench/how_far.py"
MARKED = re.compile(r"<!-- ([a-z]+) -->\n(.*?)<!-- /\1 -->", re.DOTALL)


@pytest.fixture(scope="module")
def how_far() -> ModuleType:
    if not SCRIPT.is_file():
        pytest.skip("the benchmarks do not lie beside these tests")
    spec = importlib.util.spec_from_file_location("how_far", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Its dataclass looks itself up there.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "how_far", module)
        spec.loader.exec_module(module)
    return module


def content(predicted_times: float = 2.0) -> dict[str, Any]:
    """Two plans and two checks, both measured as so many times what is predicted."""
    plans = [synthetic(), synthetic()]
    ways = [(SERIAL, 10_000), (Way("processes", 2, sent=True), 10_000_000)]
    checks = [
        {
            "plan": 1,
            "way": asdict(way),
            "size": size,
            "seconds": [plans[1].model.seconds(way, size) * predicted_times] * 3,
        }
        for way, size in ways
    ]
    return {"schema": 1, "plans": [one.content() for one in plans], "checks": checks}


def test_the_page_agrees_with_the_numbers(how_far: ModuleType) -> None:
    page = PAGE.read_text(encoding="utf-8")
    found = dict(MARKED.findall(page))
    assert set(found) == {"costs", "predictions", "checks"}
    if NUMBERS.exists():
        assert how_far.fill(page, how_far.sections(json.loads(NUMBERS.read_text()))) == page
    else:
        assert not any(text.strip() for text in found.values())


def test_a_page_is_filled_and_filled_again(how_far: ModuleType) -> None:
    page = PAGE.read_text(encoding="utf-8")
    filled = how_far.fill(page, how_far.sections(content()))
    assert "half lie within a factor of 2.00 of what was predicted, nine of ten within 2.00, all within 2.00." in filled
    assert "| bincount int64, 1 024 bins | serial | 1 | 2.00 |  |  |  |" in filled
    assert "| bincount int64, 1 024 bins | processes, sent | 2 |  |  |  | 2.00 |" in filled
    for name in QUANTITIES:
        assert f"| `{name}` | " in filled
    assert how_far.fill(filled, how_far.sections(content())) == filled
    assert how_far.fill(filled, how_far.sections(content(0.5))) != filled
    assert MARKED.sub("", filled) == MARKED.sub("", page)


def test_a_page_without_a_place_for_them_is_refused(how_far: ModuleType) -> None:
    with pytest.raises(ValueError, match="the page has 0 places for costs"):
        how_far.fill("# Nothing here\n", {"costs": "much"})


def test_the_page_names_every_cost_and_every_assumption() -> None:
    page = PAGE.read_text(encoding="utf-8")
    text = MARKED.sub("", page)
    for name in QUANTITIES:
        short = name.partition(".")[2]
        assert f"`{name}`" in text or (short == "worker" and f"`{name.partition('.')[0]}.start`, `.worker`" in text)


def test_a_measured_time_is_compared_with_its_own_plan(how_far: ModuleType) -> None:
    plans, checks = how_far.read(content(3.0))
    assert [how_far.ratio(plans, check) for check in checks] == pytest.approx([3.0, 3.0])


def test_it_really_measures(how_far: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parcount.planning.costs.LEAST_SAMPLES", 1)
    monkeypatch.setattr(how_far, "SIZES", (100, 1000))
    monkeypatch.setattr(how_far, "JOBS", ({"workload": "bincount", "dtype": "uint16", "bins": 8},))
    found = how_far.measure(rounds=1, seconds=0.01)
    plans, checks = how_far.read(json.loads(json.dumps(found)))
    assert plans[0].job.size == 1000
    ways = {check.way for check in checks}
    assert {
        SERIAL,
        Way("threads", 2),
        Way("processes", 2),
        Way("processes", 1, True),
        Way("processes", 2, started=True),
    } <= ways
    assert all(len(check.seconds) == 1 and check.seconds[0] > 0 for check in checks)
