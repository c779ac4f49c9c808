"""Numbers, times and amounts of memory as text, with no more digits than are known."""

from __future__ import annotations

from collections.abc import Mapping

SECONDS = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9, "ps": 1e-12}
BYTES = {"GB": 1 << 30, "MB": 1 << 20, "kB": 1 << 10, "bytes": 1}
COUNTS = {" billion": 10**9, " million": 10**6, " thousand": 10**3}


def in_units(value: float, units: Mapping[str, float]) -> str:
    """Return three digits of a value, in the largest unit of which it has at least one, or in the smallest.

    Examples
    --------
    >>> in_units(0.0123, SECONDS), in_units(64.0, SECONDS), in_units(0, SECONDS)
    ('12.3 ms', '64 s', '0 s')
    """
    if not value:
        return f"0 {next(unit for unit, scale in units.items() if scale == 1)}"
    scaled = {unit: float(f"{value / scale:.3g}") for unit, scale in units.items()}
    unit = next((unit for unit in units if scaled[unit] >= 1), [*units][-1])
    return f"{grouped(scaled[unit]) if scaled[unit] >= 100 else f'{scaled[unit]:g}'} {unit}"


def format_seconds(seconds: float) -> str:
    """Return seconds as text."""
    return in_units(seconds, SECONDS)


def format_bytes(count: float) -> str:
    """Return a number of bytes as text; 1 kB is 1024 bytes.

    Examples
    --------
    >>> format_bytes(4096), format_bytes(1 << 28), format_bytes(1.5 * (1 << 30))
    ('4 kB', '256 MB', '1.5 GB')
    """
    return in_units(count, BYTES)


def in_words(number: int) -> str:
    """Return two digits of a large number.

    Examples
    --------
    >>> in_words(1_234_567), in_words(950), in_words(640_000_000)
    ('1.2 million', '950', '640 million')
    """
    for word, size in COUNTS.items():
        if number >= size:
            return f"{number / size:.1f}{word}" if number < 10 * size else f"{two_digits(number / size)}{word}"
    return str(number)


def two_digits(number: float) -> str:
    """Return a number rounded to two digits.

    Examples
    --------
    >>> two_digits(2833), two_digits(91.2)
    ('2 800', '91')
    """
    return grouped(float(f"{number:.2g}"))


def two_decimals(number: float) -> str:
    """Return a number with two decimals, or none from ten on.

    Examples
    --------
    >>> two_decimals(9.876), two_decimals(2833.1)
    ('9.88', '2 833')
    """
    return f"{number:.2f}" if number < 10 else grouped(number)


def grouped(number: float) -> str:
    """Return the nearest integer, its thousands separated by spaces."""
    return f"{number:,.0f}".replace(",", " ")


def plural(count: int, noun: str) -> str:
    """Return a count and its noun."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
