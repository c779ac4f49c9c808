"""Figures in files."""

from __future__ import annotations

import io
import os
from pathlib import Path

from matplotlib.figure import Figure

from parcount.report.output import is_regular, write_output

FORMATS = (".png", ".svg")


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure to a file.

    Parameters
    ----------
    figure : Figure
        What to write.
    path : path
        Where to write; PNG or SVG by its extension.

    Raises
    ------
    ValueError
        If the extension is another.
    OSError
        If it cannot be written.
    """
    content = io.BytesIO()
    figure.savefig(content, format=image_format(path), dpi=150)
    write_output(path, content.getvalue())


def image_format(path: str | os.PathLike[str]) -> str:
    """The format of a figure, by the extension of its file; PNG for standard output, devices and pipes without one.

    Raises
    ------
    ValueError
        If the extension is another.
    """
    suffix = Path(path).suffix.lower()
    if not suffix and not is_regular(path):
        return "png"
    if suffix not in FORMATS:
        raise ValueError(f"a plot is {' or '.join(FORMATS)} by its extension: {os.fspath(path)}")
    return suffix[1:]
