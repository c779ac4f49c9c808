from __future__ import annotations

import io

import pytest
from rich.text import Text

from parcount.costmodel.jobs import make_job
from parcount.costmodel.result import Plan
from parcount.costmodel.table import show
from tests.costmodel.synthetic import synthetic
from tests.report.test_terminal import Terminal


def shown(plan: Plan) -> str:
    stream = io.StringIO()
    show(plan, stream)
    return stream.getvalue()


def test_predictions_then_costs_then_words() -> None:
    plan = synthetic()
    text = shown(plan)
    lines = [line.split() for line in text.splitlines()]
    assert ["kernel", "1", "ns", "given", "to", "count", "one", "key,", "on", "one", "core"] in lines
    assert ["on", "number", "time", "speedup", "pays", "from", "started", "useful"] in lines
    assert text.index("useful") < text.index("meaning")
    rows = [line for line in text.splitlines() if "×" in line]
    assert len(rows) == len(plan.predictions)
    assert rows[0].split()[:5] == ["threads", "2", "5.05", "ms", "1.98×"]
    assert rows[1].split()[0] == "16*"
    assert "never" in next(row for row in rows if "processes, sent" in row)
    flat = " ".join(text.split())
    for sentence in plan.sentences:
        assert " ".join(sentence.split()) in flat


def test_keys_that_are_generated_are_not_sent() -> None:
    rows = [line for line in shown(synthetic(make_job("tally"))).splitlines() if "×" in line]
    assert [row.split()[0] for row in rows] == ["threads", "16*", "processes", "16*", "nodes", "100*"]


@pytest.mark.parametrize("columns", ["80", "200"])
def test_it_fits_the_terminal(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    stream = Terminal()
    show(synthetic(), stream)
    lines = [Text.from_ansi(line).plain.rstrip() for line in stream.getvalue().splitlines()]
    assert max(map(len, lines)) <= int(columns)
    assert not any("…" in line for line in lines)
