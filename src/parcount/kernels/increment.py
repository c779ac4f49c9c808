"""The job `increment`: add to every cell of an array, in place."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from parcount.kernels import numpy_loops
from parcount.kernels.job import Slices


def increment_job(cells: NDArray[Any], by: Any = None, *, original: NDArray[Any] | None = None) -> Slices:
    """The job of adding to contiguous `cells`.

    Parameters
    ----------
    cells : ndarray, 1 dimension
        What is added to.
    by : number or ndarray, optional
        What is added: one array for all cells, or one number; 1 by default.
    original : ndarray, optional
        A copy of `cells`, to which `reset` returns them.
    """
    reference = numpy_loops.increment
    if getattr(by, "ndim", 0):
        return Slices((cells, by), in_place=True, reference=reference, original=original)
    settings = () if by is None else (by,)
    return Slices((cells,), settings, in_place=True, reference=reference, original=original)
