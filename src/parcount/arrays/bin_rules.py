"""NumPy's rules for the number of bins of a histogram (``bins="auto"`` and others), computed on all cores.

The number of bins is the range divided by a width, rounded up. A width that is computed from sums of floats may differ
from NumPy's in its last bits; where it could then be rounded to another number, NumPy computes it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parcount.engine.run import run
from parcount.engine.threads import choose_execution
from parcount.execution.base import Execution
from parcount.kernels.estimates import (
    Brackets,
    InRange,
    PairwiseSum,
    SortedParts,
    apply_to_leaves,
    choose_brackets,
    fill_brackets,
    in_range,
    sort_part,
    sum_of_cubes,
    sum_of_squares,
)
from parcount.kernels.histogram import ValueRange, value_range

MAX_OFFSET = 1e5
"""The mean of integers, in standard deviations, from which rounding of their sum may show in the standard deviation."""


class Undecided(Exception):
    """NumPy must compute the number of bins."""


def bin_edges(values: NDArray[Any], rule: str, range: tuple[Any, Any] | None, threads: int | None) -> NDArray[Any]:  # noqa: A002
    """The edges of ``numpy.histogram_bin_edges(values, rule, range)``.

    Parameters
    ----------
    values : ndarray, 1 dimension, not empty
        Of integers, float32 or float64. Those that are not contiguous are copied, and those in `range` if some are not.
    rule : str
        One of NumPy's.
    range : (float, float) or None
        The first and the last edge.
    threads : int or None
        Number of threads.
    """
    if rule in RULES:
        try:
            data = _Data(values, range, choose_execution(len(values), threads, None))
            ends = np.array(data.extremes, values.dtype)
            return np.histogram_bin_edges(ends if range is None else values[:0], data.number_of_bins(rule), range)
        except Undecided:
            pass
    return np.histogram_bin_edges(values, rule, range)


@dataclass
class _Data:
    """The elements in the range, and what the rules ask about them."""

    values: NDArray[Any]
    range: tuple[Any, Any] | None
    execution: Execution

    def __post_init__(self) -> None:
        self.values = np.ascontiguousarray(self.values)
        if not self.values.dtype.isnative:
            raise Undecided
        if self.range is not None:
            first, last = self.range
            if not (first < last and np.isfinite(first) and np.isfinite(last)):
                raise Undecided
            least, greatest = self.extremes
            if not (least >= first and greatest <= last):
                self.values = run(InRange((self.values,), (first, last)), in_range, self.execution)
                del self.extremes
            if not len(self.values):
                raise Undecided
        if not np.isfinite(self.extremes).all():
            raise Undecided

    @property
    def size(self) -> int:
        return len(self.values)

    @cached_property
    def extremes(self) -> tuple[Any, Any]:
        """The least and the greatest."""
        ends: tuple[Any, Any] = run(ValueRange((self.values,)), value_range, self.execution)
        return ends

    @property
    def ends(self) -> tuple[Any, Any]:
        """The first and the last edge, as NumPy's functions know them."""
        first, last = self.extremes if self.range is None else self.range
        return (first - 0.5, last + 0.5) if first == last else (first, last)

    @property
    def peak_to_peak(self) -> Any:
        """The range of the values; of integers, without overflow."""
        return _difference(*self.extremes)

    def number_of_bins(self, rule: str) -> int:
        """The number of bins that the rule asks for."""
        first, last = self.ends
        estimate, tolerance = RULES[rule]
        widths = estimate(self)
        found = set()
        for width in widths if isinstance(widths, list) else [widths]:
            if not np.isfinite(width):
                raise Undecided
            if not width:
                found.add(1)
                continue
            if np.issubdtype(self.values.dtype, np.integer) and width < 1:
                width = 1
            quotient = _difference(first, last) / width
            if tolerance is not None:
                allowed = tolerance(self.values.dtype) * float(quotient)
                if not 0 < allowed < abs(float(quotient) - round(float(quotient))):
                    raise Undecided
            found.add(int(np.ceil(quotient)))
        if len(found) > 1:
            raise Undecided
        return found.pop()

    def mean_of(self, function: Callable[[NDArray[Any]], Any]) -> Any:
        """The mean of what a function sums up, in the dtype of the sum."""
        total = run(PairwiseSum(self.values, function), apply_to_leaves, self.execution)
        return type(total)(total / self.size)

    @cached_property
    def mean(self) -> Any:
        """As of `numpy.mean`."""
        integers = self.values.dtype.kind in "iu"
        return self.mean_of(partial(np.add.reduce, dtype=np.float64) if integers else np.add.reduce)

    @cached_property
    def standard_deviation(self) -> Any:
        """As of `numpy.std`."""
        deviation = np.sqrt(self.mean_of(partial(sum_of_squares, mean=self.mean)))
        if self.values.dtype.kind in "iu" and abs(self.mean) > MAX_OFFSET * deviation:
            raise Undecided
        return deviation

    def interquartile_ranges(self) -> list[Any]:
        """The difference of the percentiles 75 and 25, with the dtypes in which a version of NumPy may interpolate."""
        quantiles = 0.75, 0.25
        job = Brackets((self.values,), (choose_brackets(self.values, quantiles),))
        brackets = run(job, fill_brackets, self.execution)
        found = []
        for dtype in {
            np.dtype(np.float64),
            np.dtype(np.float32) if self.values.dtype == np.float32 else np.dtype(float),
        }:
            places = dtype.type(self.size - 1) * np.array(quantiles, dtype)
            ranks = np.floor(places).astype(np.intp)
            lower, upper = (
                [bracket.element(int(rank)) for bracket, rank in zip(brackets, its, strict=True)]
                for its in (ranks, np.minimum(ranks + 1, self.size - 1))
            )
            if any(each is None for each in lower + upper):
                raise Undecided
            before, after = np.array(lower, self.values.dtype), np.array(upper, self.values.dtype)
            weight, difference = (places - ranks).astype(dtype), after - before
            percentiles = np.where(weight >= 0.5, after - difference * (1 - weight), before + difference * weight)
            found.append(np.subtract(*percentiles))
        return found


def _difference(low: Any, high: Any) -> Any:
    """``high - low``, unsigned if they are integers, as NumPy's histograms compute it."""
    dtype = np.result_type(high, low)
    if dtype.kind != "i":
        return np.subtract(high, low, dtype=dtype)
    unsigned = np.dtype(f"u{dtype.itemsize}")
    return np.subtract(np.asarray(high, dtype), np.asarray(low, dtype), casting="unsafe", dtype=unsigned)


def _sqrt(data: _Data) -> Any:
    return data.peak_to_peak / np.sqrt(data.size)


def _sturges(data: _Data) -> Any:
    return data.peak_to_peak / (np.log2(data.size) + 1.0)


def _rice(data: _Data) -> Any:
    return data.peak_to_peak / (2.0 * data.size ** (1.0 / 3))


def _scott(data: _Data) -> Any:
    return (24.0 * np.pi**0.5 / data.size) ** (1.0 / 3.0) * data.standard_deviation


def _doane(data: _Data) -> Any:
    n = data.size
    if n <= 2 or not data.standard_deviation > 0.0:
        return 0.0
    spread = np.sqrt(6.0 * (n - 2) / ((n + 1.0) * (n + 3)))
    skewness = data.mean_of(partial(sum_of_cubes, mean=data.mean, deviation=data.standard_deviation))
    return data.peak_to_peak / (1.0 + np.log2(n) + np.log2(1.0 + np.absolute(skewness) / spread))


def _fd(data: _Data) -> list[Any]:
    return [2.0 * iqr * data.size ** (-1.0 / 3.0) for iqr in data.interquartile_ranges()]


def _auto(data: _Data) -> list[Any]:
    if _auto_is_limited():
        return [min(max(width, _sqrt(data) / 2), _sturges(data)) for width in _fd(data)]
    return [min(width, _sturges(data)) if width else _sturges(data) for width in _fd(data)]


@cache
def _auto_is_limited() -> bool:
    """Whether this NumPy limits the number of bins of "auto" by that of "sqrt", as since 2.3."""
    narrow = np.array([0.0, *[0.5] * 6, *[0.501] * 6, 1.0])
    return len(np.histogram_bin_edges(narrow, "auto")) < 100


def _stone(data: _Data) -> Any:
    """The width with the least estimated error. NumPy counts a histogram of all data for each number of bins up to the
    root of the size; the edges of all these histograms are searched here in data that is sorted once.
    """
    n, width = data.size, data.peak_to_peak
    if n <= 1 or width == 0:
        return 0
    parts = run(SortedParts((data.values,)), sort_part, data.execution)
    most = max(100, int(np.sqrt(n)))
    empty = data.values[:0]

    def error(bins: int) -> Any:
        edges = np.histogram_bin_edges(empty, bins, data.ends)
        below = sum(
            np.concatenate((part.searchsorted(edges[:-1], "left"), part.searchsorted(edges[-1:], "right")))
            for part in parts
        )
        shares = np.diff(below) / n
        return (2 - (n + 1) * shares.dot(shares)) / (width / bins)

    bins = min(range(1, most + 1), key=error)
    if bins == most:
        warnings.warn("The number of bins estimated may be suboptimal.", RuntimeWarning, stacklevel=2)
    return width / bins


def _rounding(dtype: np.dtype[Any]) -> float:
    """A bound of the relative error of a width that is computed from sums."""
    return 1e-4 if dtype == np.float32 else 1e-9


RULES: dict[str, tuple[Callable[[_Data], Any], Callable[[np.dtype[Any]], float] | None]] = {
    "auto": (_auto, None),
    "doane": (_doane, _rounding),
    "fd": (_fd, None),
    "rice": (_rice, None),
    "scott": (_scott, _rounding),
    "sqrt": (_sqrt, None),
    "stone": (_stone, None),
    "sturges": (_sturges, None),
}
"""The rules, and the error of those that need sums of floats."""
