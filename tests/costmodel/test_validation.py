"""The page docs/cost-model.md: what is a number in it comes from docs/cost-model.json, by bench/cost_model.py."""

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

from parcount.costmodel.model import SERIAL, Setup
from parcount.costmodel.parameters import PARAMETERS
from tests.costmodel.synthetic import synthetic

ROOT = Path(__file__).parents[2]
PAGE, NUMBERS, SCRIPT = ROOT / "docs/cost-model.md", ROOT / "docs/cost-model.json", ROOT / "bench/cost_model.py"
MARKED = re.compile(r"<!-- ([a-z]+) -->\n(.*?)<!-- /\1 -->", re.DOTALL)


@pytest.fixture(scope="module")
def cost_model() -> ModuleType:
    if not SCRIPT.is_file():
        pytest.skip("the benchmarks do not lie beside these tests")
    spec = importlib.util.spec_from_file_location("cost_model", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Its dataclass looks itself up there.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "cost_model", module)
        spec.loader.exec_module(module)
    return module


def content(predicted_times: float = 2.0) -> dict[str, Any]:
    """Two plans and two checks, both measured as so many times what is predicted, as a file has them."""
    plans = [synthetic(), synthetic()]
    setups = [(SERIAL, 10_000), (Setup("processes", 2, sent=True), 10_000_000)]
    checks = [
        {
            "plan": 1,
            "setup": asdict(setup),
            "size": size,
            "seconds": [plans[1].model.seconds(setup, size) * predicted_times] * 3,
        }
        for setup, size in setups
    ]
    saved: dict[str, Any] = json.loads(
        json.dumps({"schema": 1, "plans": [one.content() for one in plans], "checks": checks})
    )
    return saved


def test_the_page_agrees_with_the_numbers(cost_model: ModuleType) -> None:
    page = PAGE.read_text(encoding="utf-8")
    found = dict(MARKED.findall(page))
    assert set(found) == {"costs", "predictions", "checks"}
    if NUMBERS.exists():
        assert cost_model.fill(page, cost_model.sections(json.loads(NUMBERS.read_text()))) == page
    else:
        assert not any(text.strip() for text in found.values())


def test_a_page_is_filled_and_filled_again(cost_model: ModuleType) -> None:
    page = PAGE.read_text(encoding="utf-8")
    filled = cost_model.fill(page, cost_model.sections(content()))
    assert "half are within a factor of 2.00 of the prediction, nine of ten within 2.00, all within 2.00." in filled
    assert "| bincount int64, 1 024 bins | serial | 1 | 2.00 |  |  |  |" in filled
    assert "| bincount int64, 1 024 bins | processes, sent | 2 |  |  |  | 2.00 |" in filled
    for name in PARAMETERS:
        assert f"| `{name}` | " in filled
    assert cost_model.fill(filled, cost_model.sections(content())) == filled
    assert cost_model.fill(filled, cost_model.sections(content(0.5))) != filled
    assert MARKED.sub("", filled) == MARKED.sub("", page)


def test_a_page_without_a_place_for_them_is_refused(cost_model: ModuleType) -> None:
    with pytest.raises(ValueError, match="the page has 0 pairs of markers for costs"):
        cost_model.fill("# Nothing here\n", {"costs": "much"})


def test_the_page_names_every_cost_and_every_assumption() -> None:
    page = PAGE.read_text(encoding="utf-8")
    text = MARKED.sub("", page)
    for name in PARAMETERS:
        short = name.partition(".")[2]
        assert f"`{name}`" in text or (short == "worker" and f"`{name.partition('.')[0]}.start`, `.worker`" in text)


def test_a_measured_time_is_compared_with_its_own_plan(cost_model: ModuleType) -> None:
    plans, checks = cost_model.read(content(3.0))
    assert [cost_model.ratio(plans, check) for check in checks] == pytest.approx([3.0, 3.0])


@pytest.mark.slow
def test_it_really_measures(cost_model: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parcount.costmodel.costs.LEAST_SAMPLES", 1)
    monkeypatch.setattr(cost_model, "SIZES", (100, 1000))
    monkeypatch.setattr(cost_model, "JOBS", ({"workload": "bincount", "dtype": "uint16", "bins": 8},))
    found = cost_model.measure(rounds=1, seconds=0.01)
    plans, checks = cost_model.read(json.loads(json.dumps(found)))
    assert plans[0].job.size == 1000
    setups = {check.setup for check in checks}
    assert {
        SERIAL,
        Setup("threads", 2),
        Setup("processes", 2),
        Setup("processes", 1, True),
        Setup("processes", 2, started=True),
    } <= setups
    assert all(len(check.seconds) == 1 and check.seconds[0] > 0 for check in checks)
