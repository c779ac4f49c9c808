from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from parcount.report.stream import discard_output, use_ascii_fallbacks


def test_characters_that_an_encoding_lacks_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(written, encoding="ascii"))
    use_ascii_fallbacks()
    print("2.1× ≤ 5 µs, ☃", flush=True)
    assert written.getvalue().decode() == "2.1x <= 5 us, ?\n"


def test_discarded_output_is_written_nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (tmp_path / "a").open("w") as file:
        monkeypatch.setattr(sys, "stdout", file)
        print("before", flush=True)
        discard_output()
        print("after", flush=True)
    assert (tmp_path / "a").read_text() == "before\n"
