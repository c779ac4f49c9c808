"""A study as a picture, in a file."""

from __future__ import annotations

import io
import os
from importlib import import_module
from pathlib import Path

from matplotlib.figure import Figure

from parcount.studies.core.output import is_regular, write_output
from parcount.studies.core.result import Study

FORMATS = (".png", ".svg")


def save(study: Study, path: str | os.PathLike[str]) -> None:
    """Draw a study into a file.

    Parameters
    ----------
    study : Study
        With at least one measured cell that is not serial; panels without are left out.
    path : path
        Where to; PNG or SVG by its extension.

    Raises
    ------
    ValueError
        If the extension is another.
    OSError
        If it cannot be written.
    """
    content = io.BytesIO()
    draw(study).savefig(content, format=image_format(path), dpi=150)
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


def draw(study: Study) -> Figure:
    """The figure that `save` writes, as the folder of its question draws it."""
    figure: Figure = import_module(f"parcount.studies.{study.question}.figure").draw(study)
    return figure
