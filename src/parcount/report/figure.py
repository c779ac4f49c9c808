"""A study as a picture, in a file."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

from matplotlib.figure import Figure

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
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"a plot is {' or '.join(FORMATS)} by its extension, not {path.suffix or 'without one'}")
    draw(study).savefig(path, format=path.suffix[1:].lower(), dpi=150)


def draw(study: Study) -> Figure:
    """The figure that `save` writes, as the folder of its question draws it."""
    figure: Figure = import_module(f"parcount.studies.{study.question}.figure").draw(study)
    return figure
