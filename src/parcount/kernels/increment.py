"""The job `increment`: add to every cell of an array, in place."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from parcount.kernels import numpy_loops
from parcount.kernels.job import Slices


def increment_job(cells: NDArray[Any], *by: Any, original: NDArray[Any] | None = None) -> Slices:
    """The job of adding to contiguous `cells`.

    Parameters
    ----------
    cells : ndarray, 1 dimension
        What is added to.
    *by : number or ndarray
        What is added: one number for all cells, or an array of their shape; 1 if it is not given.
    original : ndarray, optional
        A copy of `cells`, to which `reset` returns them.
    """
    arrays, settings = ((cells, *by), ()) if by and getattr(by[0], "shape", None) == cells.shape else ((cells,), by)
    return Slices(arrays, settings, in_place=True, reference=numpy_loops.increment, original=original)
