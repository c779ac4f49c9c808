"""The jobs of counting keys along an axis, and of counting keys of which some are left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parcount._native import bincount_lines as native
from parcount.kernels.blocks import BLOCK, blocks
from parcount.kernels.job import Part, Slices, cuts

VIRTUAL_LINES = 4
"""Pieces in which one line is counted, in tables used in turn."""

MAX_VIRTUAL_BINS = 1 << 12
"""Bins up to which it is: the tables stay in the cache."""


class Lines(Slices):
    """The job of counting each line of keys, along the second of three axes, in a row of its own.

    Parameters
    ----------
    arrays : sequence of ndarray
        The counts, the keys, and weights if there are any.
    settings : tuple
        Whether keys beyond the counts are left out.
    """

    @property
    def size(self) -> int:  # type: ignore[override]
        """Number of keys."""
        return self.arrays[1].size

    def split(self, parts: int) -> list[Part]:
        """Slices of the first or the third axis, whichever is longer."""
        first = self.arrays[0].shape[0] >= self.arrays[0].shape[2]
        found = []
        for start, stop in cuts(self.arrays[0].shape[0 if first else 2], parts):
            piece = np.s_[start:stop] if first else np.s_[:, :, start:stop]
            counts, *others = (array[piece] for array in self.arrays)
            found.append(Part(counts, (*others, *self.settings)))
        return found

    def merge(self, partials: Sequence[Any]) -> NDArray[Any]:
        """The counts; parts that a process has counted in a copy are written back."""
        counts = self.arrays[0]
        for part, partial in zip(self.split(len(partials)), partials, strict=True):
            if not np.may_share_memory(counts, partial):
                part.table[:] = partial  # type: ignore[index]
        return counts


def lines(counts: NDArray[Any], keys: NDArray[Any], *others: Any) -> None:
    """Count the keys of each line, or add their weights.

    Parameters
    ----------
    counts : ndarray of int64 or float64, shape (a, bins, b)
        The counts, or the sums.
    keys : ndarray of integers, shape (a, n, b)
        Those that are not in native byte order or not aligned are converted some lines at a time.
    *others : ndarray, bool
        Weights of the shape of `keys`, if any, and whether keys that are not less than `bins` are left out.

    Raises
    ------
    ValueError
        If a key is negative, or lies outside.
    """
    *weights, skip = others
    ready = keys.dtype.isnative and keys.flags.aligned
    rows = len(keys) if ready else max(1, BLOCK // max(1, keys[:1].size))
    for start in range(0, len(keys), rows):
        piece = slice(start, start + rows)
        its = keys[piece] if ready else np.require(keys[piece], keys.dtype.newbyteorder("="), "A")
        if weights:
            native.weigh_lines(counts[piece], its, weights[0][piece], skip)
        else:
            native.count_lines(counts[piece], its, skip)


def one_line(counts: NDArray[Any], keys: NDArray[Any], *others: Any) -> None:
    """Count the keys of one long line, or add their weights; the parameters are those of `lines`."""
    *weights, skip = others
    for block, *addends in blocks([keys, *weights], [keys.dtype, *[np.dtype(np.float64)] * len(weights)]):
        if addends:
            native.weigh_lines(counts[None, :, None], block[None, :, None], addends[0][None, :, None], skip)
            continue
        if len(counts) > MAX_VIRTUAL_BINS:
            native.count_lines(counts[None, :, None], block[None, :, None], skip)
            continue
        whole = len(block) // VIRTUAL_LINES * VIRTUAL_LINES
        virtual = np.zeros((VIRTUAL_LINES, len(counts), 1), np.int64)
        native.count_lines(virtual, block[:whole].reshape(VIRTUAL_LINES, -1, 1), skip)
        native.count_lines(virtual[:1], block[None, whole:, None], skip)
        counts += virtual.sum(0)[:, 0]
