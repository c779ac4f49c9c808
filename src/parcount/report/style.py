"""What all figures and tables share: the style of executions, and a description of the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from parcount.report.units import plural

if TYPE_CHECKING:
    from parcount.studies.core.result import Study

NEUTRAL = "#777777"
"""The color of text and axes."""

LOST = "#D03050"
"""The color of what was lost."""

# Distinct in hue and in lightness, also in grey and for colour-blind readers (Okabe and Ito's palette, 2008), and none
# so light or so dark that it is lost on a white or on a dark page.
STYLES: dict[str, dict[str, Any]] = {
    "threads": {"color": "#1A80C4", "marker": "o", "linestyle": "-"},
    "processes": {"color": "#D55E00", "marker": "s", "linestyle": "--"},
    "interpreters": {"color": "#C4659B", "marker": "D", "linestyle": ":"},
    "asyncio": {"color": "#009E73", "marker": "^", "linestyle": "-."},
}


def machine(study: Study) -> str:
    """Return the CPU, the cores and the Python, for a title."""
    environment = study.environment
    gil = "with the GIL" if environment["python"]["gil"] else "without a GIL"
    return (
        f"{environment['cpu']}, {plural(environment['cores']['available'], 'core')}, "
        f"Python {environment['python']['version']} {gil}"
    )


def libraries(study: Study) -> str:
    """Return the CPU, the cores, the Python and the libraries, for the foot of a table."""
    environment = study.environment
    gil = "GIL" if environment["python"]["gil"] else "no GIL"
    return (
        f"{environment['cpu']}, {plural(environment['cores']['available'], 'core')} available; "
        f"Python {environment['python']['version']} ({gil}), NumPy {environment['versions']['numpy']}, "
        f"Numba {environment['versions']['numba'] or 'not installed'}."
    )
