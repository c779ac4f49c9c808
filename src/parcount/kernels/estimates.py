"""What the rules for the number of bins ask about the data: sums in NumPy's order, order statistics, sorted parts.

The arrays are contiguous, of one dimension, of integers, float32 or float64, without NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from parcount.kernels.blocks import sample
from parcount.kernels.job import Job, Part, Slices, cuts

LEAF = 1 << 15
"""Elements that are summed at a time: their temporaries stay in the second-level cache."""

SAMPLE = 1 << 14
"""Elements of which the brackets of order statistics are chosen: 2 to 3 % of all are then inside one."""

STANDARD_DEVIATIONS = 4
"""Half of the width of a bracket: one in 16 000 misses, and NumPy then decides."""


class PairwiseSum(Job):
    """The job of summing an array in the order of `numpy.add.reduce`, which adds halves of halves.

    The result is the same in every bit for any number of workers.

    Parameters
    ----------
    values : ndarray
        The array.
    function : callable
        Returns the sum of a slice, or of what it computes from each of its elements.
    """

    def __init__(self, values: NDArray[Any], function: Callable[[NDArray[Any]], Any]) -> None:
        self.size = len(values)
        self._values, self._function = values, function
        self._leaves = list(_leaves(0, self.size))

    def split(self, parts: int) -> list[Part]:
        """Some leaves of the tree for each part."""
        return [
            Part(None, (self._function, [self._values[start:stop] for start, stop in self._leaves[first:last]]))
            for first, last in cuts(len(self._leaves), parts)
        ]

    def merge(self, partials: Sequence[Any]) -> Any:
        """The sum of the leaves along the tree."""
        sums = chain.from_iterable(partials)

        def add(size: int) -> Any:
            if size <= LEAF:
                return next(sums)
            half = _half(size)
            left = add(half)
            return left + add(size - half)

        return add(self.size)

    def head(self, size: int) -> PairwiseSum:
        """The job of the first `size` elements."""
        return PairwiseSum(self._values[:size], self._function)

    def exact(self) -> Any:
        """The sum of all elements at once."""
        return self._function(self._values)


def _half(size: int) -> int:
    """Where NumPy cuts an array of more than 128 elements in two."""
    return size // 2 - size // 2 % 8


def _leaves(start: int, size: int) -> list[tuple[int, int]]:
    if size <= LEAF:
        return [(start, start + size)]
    half = _half(size)
    return _leaves(start, half) + _leaves(start + half, size - half)


def apply_to_leaves(_: None, function: Callable[[NDArray[Any]], Any], leaves: list[NDArray[Any]]) -> list[Any]:
    """The function of each leaf."""
    return [function(leaf) for leaf in leaves]


def sum_of_squares(values: NDArray[Any], mean: Any) -> Any:
    """The sum of the squares of the deviations from the mean."""
    deviations = values - mean
    return np.add.reduce(np.square(deviations, out=deviations))


def sum_of_cubes(values: NDArray[Any], mean: Any, deviation: Any) -> Any:
    """The sum of the cubes of the deviations from the mean, in standard deviations."""
    deviations = values - mean
    deviations /= deviation
    cubes = np.square(deviations)
    cubes *= deviations
    return np.add.reduce(cubes)


class InRange(Slices):
    """The job of finding the elements in a range."""

    def merge(self, partials: Sequence[Any]) -> NDArray[Any]:
        """All of them, in the order of the array."""
        return np.concatenate(partials)


def in_range(_: None, values: NDArray[Any], first: Any, last: Any) -> NDArray[Any]:
    """The elements from the first to the last edge."""
    kept: NDArray[Any] = values[(values >= first) & (values <= last)]
    return kept


class Bracket(NamedTuple):
    """Two values between which an order statistic is expected, and how many elements there are around them."""

    low: Any
    high: Any
    counts: Any = ()  # less than low, at most low, less than high, at most high
    inside: Any = ()  # the elements between them

    def element(self, rank: int) -> Any:
        """The element of that rank, from 0; None if it is not in the bracket."""
        below, first, stop, above = map(int, self.counts)
        if below <= rank < first:
            return self.low
        if first <= rank < stop:
            return np.partition(self.inside, rank - first)[rank - first]
        return self.high if stop <= rank < above else None


class Brackets(Slices):
    """The job of counting the elements around brackets."""

    def merge(self, partials: Sequence[Any]) -> list[Bracket]:
        """The brackets, filled."""
        return [
            Bracket(
                its[0].low,
                its[0].high,
                sum(each.counts for each in its),
                np.concatenate([each.inside for each in its]),
            )
            for its in zip(*partials, strict=True)
        ]


def choose_brackets(values: NDArray[Any], quantiles: Sequence[float]) -> list[Bracket]:
    """A bracket for each quantile, from a sample."""
    some = np.sort(sample(values, SAMPLE))
    last = len(some) - 1
    found = []
    for quantile in quantiles:
        margin = STANDARD_DEVIATIONS * math.sqrt(len(some) * quantile * (1 - quantile)) + 1
        place = quantile * last
        found.append(Bracket(some[max(0, math.floor(place - margin))], some[min(last, math.ceil(place + margin))]))
    return found


def fill_brackets(_: None, values: NDArray[Any], brackets: Sequence[Bracket]) -> list[Bracket]:
    """Count the elements around each bracket, and collect those inside."""
    counts = np.zeros((len(brackets), 4), np.int64)
    inside: list[list[NDArray[Any]]] = [[values[:0]] for _ in brackets]
    for start in range(0, len(values), LEAF):
        block = values[start : start + LEAF]
        for (low, high, *_rest), its, pieces in zip(brackets, counts, inside, strict=True):
            above, below = block > low, block < high
            its[0] += np.count_nonzero(block < low)
            its[1] += len(block) - np.count_nonzero(above)
            its[2] += np.count_nonzero(below)
            its[3] += np.count_nonzero(block <= high)
            above &= below
            pieces.append(block[above])
    return [
        Bracket(bracket.low, bracket.high, its, np.concatenate(pieces))
        for bracket, its, pieces in zip(brackets, counts, inside, strict=True)
    ]


class SortedParts(Slices):
    """The job of sorting slices of an array."""

    def merge(self, partials: Sequence[Any]) -> list[NDArray[Any]]:
        """The slices, each sorted."""
        return list(partials)


def sort_part(_: None, values: NDArray[Any]) -> NDArray[Any]:
    """A sorted copy."""
    return np.sort(values)
