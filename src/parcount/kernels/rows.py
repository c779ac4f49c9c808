"""Rows of numbers counted in a joint table of several axes, each with ascending edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parcount._native.histogram import Grid, count_joint, weigh_joint
from parcount.kernels.blocks import blocks
from parcount.kernels.values import Sums
from parcount.kernels.workload import Job, Kernel, Part, cuts, table, total


@dataclass(frozen=True)
class RowsJob(Job):
    """One-dimensional `columns` of one length and of real dtypes, and for each its ascending float64 `edges`.

    Attributes
    ----------
    weights : ndarray or None
        What each row adds; one if None.
    """

    columns: Sequence[NDArray[Any]]
    edges: Sequence[NDArray[np.float64]]
    weights: NDArray[Any] | None = None

    @property
    def size(self) -> int:  # type: ignore[override]
        """How many rows."""
        return len(self.columns[0])

    def head(self, size: int) -> RowsJob:
        """The job of the first `size` rows."""
        weights = None if self.weights is None else self.weights[:size]
        return RowsJob([column[:size] for column in self.columns], self.edges, weights)

    def split(self, parts: int) -> list[Part]:
        """Slices of the columns and weights, each with all edges."""
        return [
            Part(
                None,
                (
                    [column[start:stop] for column in self.columns],
                    self.edges,
                    None if self.weights is None else self.weights[start:stop],
                ),
            )
            for start, stop in cuts(self.size, parts)
        ]

    def merge(self, partials: Sequence[Sums]) -> Sums:
        """The sum of the parts' tables, in their order."""
        return total(partials)

    def exact(self) -> Sums:
        """NumPy's joint histogram of the whole."""
        return np.histogramdd(list(self.columns), self.edges, weights=self.weights)[0]


KERNEL = Kernel("parcount.kernels.rows:counted")


def counted(
    columns: Sequence[NDArray[Any]], edges: Sequence[NDArray[np.float64]], weights: NDArray[Any] | None
) -> Sums:
    """Count rows into a table of its own.

    Parameters
    ----------
    columns, edges, weights
        As in `RowsJob`; of any strides and byte order.

    Returns
    -------
    ndarray of int64 or float64
        One dimension an axis, one cell a bin; a view of a table that holds the rows outside too.
    """
    grids = [Grid(np.ascontiguousarray(its)) for its in edges]
    shape = [grid.bins + 2 for grid in grids]
    double = np.dtype(np.float64)
    reals = [np.dtype(np.float32) if column.dtype.type is np.float32 else double for column in columns]
    if weights is None:
        sums = table(prod(shape))
        for block in blocks(columns, reals):
            count_joint(sums, grids, list(block))
    else:
        sums = table(prod(shape), double)
        for block in blocks([*columns, weights], [*reals, double]):
            weigh_joint(sums, grids, list(block[:-1]), block[-1])
    return sums.reshape(shape)[(slice(1, -1),) * len(shape)]
