"""The job `histogramdd`: count rows in a joint table of several axes, each with ascending edges."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parcount._native.histogram import BinSearch, count_joint, weigh_joint
from parcount.kernels.blocks import blocks, floating
from parcount.kernels.job import Slices


def histogramdd_job(
    columns: Sequence[NDArray[Any]], edges: Sequence[NDArray[Any]], weights: NDArray[Any] | None = None
) -> Slices:
    """The job of counting rows, given by their columns, or of adding up their real weights.

    The tables have two cells more on each axis, for the rows outside: see `without_outside`.
    """
    edges = [np.ascontiguousarray(axis, np.float64) for axis in edges]
    cells = prod(len(axis) + 1 for axis in edges)
    if weights is None:
        return Slices(columns, (edges,), cells)
    return Slices([*columns, weights], (edges,), cells, np.float64)


def histogramdd(counts: NDArray[np.int64], *args: Any) -> None:
    """Count rows: takes the table, the columns, and the sequence of their edges."""
    *columns, edges = args
    searches = [BinSearch(axis, floating(column) == np.float32) for axis, column in zip(edges, columns, strict=True)]
    for block in blocks(columns, [floating(column) for column in columns]):
        count_joint(counts, searches, list(block))


def histogramdd_weighted(sums: NDArray[np.float64], *args: Any) -> None:
    """Add up rows' weights: takes the table, the columns, the weights, and the sequence of the columns' edges."""
    *columns, weights, edges = args
    searches = [BinSearch(axis, floating(column) == np.float32) for axis, column in zip(edges, columns, strict=True)]
    dtypes = [*(floating(column) for column in columns), np.dtype(np.float64)]
    for block in blocks([*columns, weights], dtypes):
        weigh_joint(sums, searches, list(block[:-1]), block[-1])


def without_outside(sums: NDArray[Any], edges: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """The joint table, one dimension an axis, without the cells of rows outside."""
    shape = [len(axis) + 1 for axis in edges]
    return sums.reshape(shape)[(slice(1, -1),) * len(shape)]
