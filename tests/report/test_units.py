from __future__ import annotations

import pytest

from parcount.report.units import BYTES, format_bytes, format_seconds, in_units


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.123456, "123 ms"), (12.3e-9, "12.3 ns"), (0.9999, "1 s"), (12_340.0, "12 300 s"), (1e-13, "0.1 ps")],
)
def test_no_more_digits_than_are_known(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_nothing_has_the_unit_itself() -> None:
    assert format_bytes(0) == "0 bytes"
    assert in_units(0.5, BYTES) == "0.5 bytes"
