"""The job `unique_counts` of strings and of rows: those of equal bytes are counted in a hash table.

Only the distinct ones are sorted, as strings of bytes in the order of which they ascend.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parcount._native.distinct_rows import RowTable
from parcount.kernels.blocks import sample
from parcount.kernels.job import Slices
from parcount.kernels.unique_counts import MAX_SAMPLE_DUPLICATES, SAMPLE

BLOCK_BYTES = 1 << 20
"""Bytes that are converted at a time: they are still in cache when they are counted."""

RowCounts = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""The bytes of distinct rows, and the count of each."""


class DistinctRows(Slices):
    """`Slices` of one array along its first axis, whose partial counts are `RowCounts`."""

    def merge(self, partials: Sequence[RowCounts]) -> RowCounts:
        """The sums of the counts."""
        if len(partials) == 1:
            return partials[0]
        table = RowTable(partials[0][0].shape[1])
        for rows, counts in partials:
            table.add(rows, counts)
        return table.result()


def count_rows(_: None, rows: NDArray[Any]) -> RowCounts:
    """Count the distinct rows.

    Parameters
    ----------
    rows : ndarray or Flat
        Of a dtype without padding, not empty; each item of the first axis is a row.
    """
    return _counted(rows).result()


def mostly_distinct(rows: NDArray[Any]) -> bool:
    """Whether most rows of a sample are distinct."""
    sampled = sample(rows, max(1, min(SAMPLE, len(rows) >> 6)))
    return len(sampled) - len(_counted(sampled)) <= MAX_SAMPLE_DUPLICATES


def ascending(rows: NDArray[Any]) -> NDArray[np.intp]:
    """The positions of rows in ascending order.

    Parameters
    ----------
    rows : ndarray, 2 dimensions
        Contiguous, in native byte order, without NaN, NaT and -0.0.

    Examples
    --------
    >>> ascending(np.array([[1, 2], [-1, 7], [-1, 3]]))
    array([2, 1, 0])
    """
    kind, size = rows.dtype.kind, rows.dtype.itemsize
    if kind == "U":
        rows = rows.view(np.uint32).astype(">u4")
    elif kind not in "Sb":
        bits = rows.view(f"u{size}")
        sign = bits.dtype.type(1 << (8 * size - 1))
        if kind == "f":
            bits = np.where(bits & sign, ~bits, bits | sign)
        elif kind != "u":
            bits = bits ^ sign
        rows = bits.astype(f">u{size}")
    return np.argsort(rows.view(f"S{rows.shape[1] * rows.dtype.itemsize}").ravel())


def _counted(rows: NDArray[Any]) -> RowTable:
    table: RowTable | None = None
    for block in _blocks(rows):
        table = table or RowTable(block.shape[1])
        table.add(block)
    assert table is not None  # there are rows
    return table


def _blocks(rows: NDArray[Any]) -> Iterator[NDArray[np.uint8]]:
    """Yield the bytes of rows in native byte order: all of them, if none need be copied."""
    native = rows.dtype.newbyteorder("=")
    ready = isinstance(rows, np.ndarray) and rows.dtype == native and rows.flags.c_contiguous
    step = len(rows) if ready else _rows_per_block(rows)
    for start in range(0, len(rows), max(1, step)):
        block = np.ascontiguousarray(rows[start : start + step], native)
        yield block.reshape(len(block), -1).view(np.uint8)


def _rows_per_block(rows: NDArray[Any]) -> int:
    width = rows[:1].nbytes if isinstance(rows, np.ndarray) else rows.dtype.itemsize
    return max(1, BLOCK_BYTES // width)
