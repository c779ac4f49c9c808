"""Rows of numbers counted in a joint table of several axes, each with ascending edges."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parcount._native.histogram import BinSearch, count_joint, weigh_joint
from parcount.kernels.blocks import blocks
from parcount.kernels.job import Kernel, table
from parcount.kernels.values import Sums

KERNEL = Kernel("parcount.kernels.histogramdd:counted")


def counted(
    columns: Sequence[NDArray[Any]], weights: NDArray[Any] | None, edges: Sequence[NDArray[np.float64]]
) -> Sums:
    """Count rows into a table of its own.

    Parameters
    ----------
    columns, weights
        As in `Slices`; of any real dtypes.
    edges : sequence of ndarray
        Those of each column; ascending.

    Returns
    -------
    ndarray of int64 or float64
        One dimension an axis, one cell a bin; a view of a table that holds the rows outside too.
    """
    searches = [BinSearch(np.ascontiguousarray(its)) for its in edges]
    shape = [search.bins + 2 for search in searches]
    double = np.dtype(np.float64)
    reals = [np.dtype(np.float32) if column.dtype.type is np.float32 else double for column in columns]
    if weights is None:
        sums = table(prod(shape))
        for block in blocks(columns, reals):
            count_joint(sums, searches, list(block))
    else:
        sums = table(prod(shape), double)
        for block in blocks([*columns, weights], [*reals, double]):
            weigh_joint(sums, searches, list(block[:-1]), block[-1])
    return sums.reshape(shape)[(slice(1, -1),) * len(shape)]
