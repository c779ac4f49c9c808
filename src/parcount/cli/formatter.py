"""Help texts of commands that must start fast."""

from __future__ import annotations

import argparse
import os
import sys


class Formatter(argparse.RawDescriptionHelpFormatter):
    """As argparse's own, which imports `shutil` and its decompressors, also if no help is shown: 3 ms."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


def _columns() -> int:
    """Return the width of the terminal, as `shutil.get_terminal_size` does."""
    text = os.environ.get("COLUMNS", "")
    if text.isdecimal() and int(text):
        return int(text)
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or 80  # type: ignore[union-attr]
    except (AttributeError, ValueError, OSError):  # no standard output, or no terminal
        return 80
