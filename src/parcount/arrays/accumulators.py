"""`Bincount` and `Histogram`: counts of data that arrives in pieces, from many threads and processes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from operator import index
from typing import Any, Self, SupportsIndex

import numpy as np
from numpy import histogram as numpy_histogram
from numpy.typing import ArrayLike, DTypeLike, NDArray

from parcount._native.histogram import BinSearch
from parcount.arrays.histogram import are_supported, compare_as_float64, extremes
from parcount.engine.run import run
from parcount.engine.threads import choose_execution
from parcount.kernels.accumulate import Chunk, Table, Tables, add_keys, add_values, add_weights, weigh_values
from parcount.kernels.bincount import bincount_job, bincount_weighted, trimmed
from parcount.kernels.blocks import as_uint8, flat
from parcount.kernels.job import cuts, table

MIN_KEYS_PER_BIN = 8
"""Keys for each bin from which weights are added up in a new table for each chunk (``bench/accumulators.py``)."""


class Accumulator(ABC):
    """What `Bincount` and `Histogram` have in common: tables, one for each thread that counts."""

    __hash__ = None  # type: ignore[assignment] # the counts change

    def __init__(self, bins: int, dtype: DTypeLike) -> None:
        self._dtype = np.dtype(dtype)
        if self._dtype not in (np.dtype(np.int64), np.dtype(np.float64)):
            raise TypeError(f"dtype must be int64, for counts, or float64, for sums of weights, not {self._dtype}")
        self._tables = Tables(Table(table(bins, self._dtype)))

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the counts: int64, or float64 for sums of weights."""
        return self._dtype

    @property
    def counts(self) -> NDArray[Any]:
        """A copy of the counts, or of the sums of weights, one cell a bin."""
        return self._tables.total().cells

    @property
    def total(self) -> int | float:
        """The sum of `counts`."""
        total: int | float = self.counts.sum().item()
        return total

    def copy(self) -> Self:
        """Return another accumulator with the same bins and counts."""
        return self._empty().merge(self)

    def merge(self, other: Accumulator) -> Self:
        """Add the counts of another accumulator; ``a += b`` does the same.

        Parameters
        ----------
        other : of the same type
            With the same bins and dtype. It is not changed.

        Returns
        -------
        Bincount or Histogram
            This accumulator.

        Raises
        ------
        TypeError
            If `other` is of another type, or has another dtype.
        ValueError
            If `other` has other bins.
        """
        if type(other) is not type(self):
            raise TypeError(f"a {type(self).__name__} cannot be merged with a {type(other).__name__}")
        if other._dtype != self._dtype:
            raise TypeError(f"counts of dtype {other._dtype} cannot be merged with those of {self._dtype}")
        if not self._has_bins_of(other):
            raise ValueError(f"the bins differ: {other!r} cannot be merged with {self!r}")
        counted = other._tables.total()
        self._tables.add(counted.cells, counted.used)
        return self

    def __iadd__(self, other: Any) -> Self:
        return self.merge(other) if isinstance(other, Accumulator) else NotImplemented

    def __add__(self, other: Any) -> Self:
        return self.copy().merge(other) if isinstance(other, Accumulator) else NotImplemented

    def __radd__(self, other: Any) -> Self:
        return self.copy() if type(other) is int and other == 0 else NotImplemented  # `sum` begins with 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, type(self)):
            return NotImplemented
        return self._dtype == other._dtype and self._has_bins_of(other) and np.array_equal(self.counts, other.counts)

    def __reduce__(self) -> tuple[Any, ...]:
        counted = self._tables.total()
        return _restored, (type(self), self._arguments(), counted.cells, counted.used)

    def _empty(self) -> Self:
        return type(self)(**self._arguments())

    @abstractmethod
    def _arguments(self) -> dict[str, Any]:
        """Those of the constructor."""

    @abstractmethod
    def _has_bins_of(self, other: Any) -> bool:
        """Whether the bins are the same."""

    def _weights(self, weights: ArrayLike | None, shape: tuple[int, ...]) -> NDArray[Any] | None:
        """Weights in an array of the shape, or None if ones are to be counted."""
        if weights is None:
            return None if self._dtype.kind == "i" else np.broadcast_to(np.float64(1), shape)
        if self._dtype.kind == "i":
            raise TypeError(f"this {type(self).__name__} counts: make it with dtype=float to add weights")
        weights = np.asarray(weights)
        if not np.can_cast(weights.dtype, np.float64):
            raise TypeError(f"weights of dtype {weights.dtype} cannot be cast to float64 safely")
        if weights.ndim and weights.shape != shape:
            raise ValueError(f"weights must have the shape of the data, {shape}, not {weights.shape}")
        return np.broadcast_to(weights, shape)


def _restored(cls: type[Accumulator], arguments: dict[str, Any], counts: NDArray[Any], used: int) -> Accumulator:
    accumulator = cls(**arguments)
    accumulator._tables.add(counts, used)
    return accumulator


class Bincount(Accumulator):
    """The counts of non-negative integers that arrive in pieces: `bincount` of all of them.

    Any number of threads may call `update` at once. Each counts into a table of its own, so none waits for another and
    no count is lost. Processes count into accumulators of their own, which are pickled, sent and merged.

    Parameters
    ----------
    n : int, optional
        The number of bins; each key must be less. Without it there are as many bins as the largest key needs.
    dtype : dtype, optional
        int64, for counts, or float64, for sums of weights.

    Attributes
    ----------
    counts : ndarray of int64 or float64
        A copy of the counts: cell k holds those of key k.
    total : int or float
        Their sum.
    dtype : dtype
        Their dtype.

    Raises
    ------
    TypeError
        If `n` is not an integer, or `dtype` is another one.
    ValueError
        If `n` is negative.

    Notes
    -----
    Memory is 8 bytes a bin for each thread that has counted at the same time; without `n` up to twice as much, and
    while a table grows three times. Reading `counts` takes O(bins) time for each of these tables.

    `counts` contains every update that has returned. It may contain a part of one that is running, or that Ctrl-C has
    interrupted. Sums of floating weights may differ in their last bits from those of another order of updates.

    ``+`` returns a new accumulator and ``+=`` is `merge`. ``==`` compares bins, dtype and counts. `sum` works, as do
    the modules `copy` and `pickle`.

    Examples
    --------
    >>> import parcount as pc
    >>> c = pc.Bincount(4)
    >>> c.update([0, 1, 1]).update([3])
    <Bincount of 4 bins, total 4>
    >>> c.counts
    array([1, 2, 0, 1])
    >>> (c + pc.Bincount(4).update([3, 3])).counts
    array([1, 2, 0, 3])
    """

    def __init__(self, n: SupportsIndex | None = None, *, dtype: DTypeLike = np.int64) -> None:
        self._n = None if n is None else index(n)
        if self._n is not None and self._n < 0:
            raise ValueError(f"n must not be negative, is {self._n}")
        super().__init__(self._n or 0, dtype)

    @property
    def counts(self) -> NDArray[Any]:
        """A copy of the counts, or of the sums of weights: cell k holds those of key k."""
        counted = self._tables.total()
        if self._n is not None:
            return counted.cells
        return trimmed(counted.cells, 0) if self._dtype.kind == "i" else counted.cells[: counted.used]

    def update(self, x: ArrayLike, weights: ArrayLike | None = None, *, threads: int | None = None) -> Self:
        """Count the keys of a chunk, or add their weights.

        Parameters
        ----------
        x : array_like
            The keys, of any shape and any integer dtype or bool.
        weights : array_like, of the shape of `x` or a number, optional
            What each key adds. The default is one.
        threads : int, optional
            Number of threads. The default is as many as pay off, at most `get_num_threads`.

        Returns
        -------
        Bincount
            This accumulator.

        Raises
        ------
        TypeError
            If `x` is not of integers, or `weights` cannot be cast to float64 safely or are given with dtype int64.
        ValueError
            If a key is negative, or not less than `n`; nothing is then added. If `weights` have another shape, or
            `threads` is less than 1.
        MemoryError
            If the largest key needs more bins than there is memory for; nothing is then added.

        Notes
        -----
        O(x.size) time, with the GIL released. See `bincount` for memory, and for keys that another thread changes.
        """
        keys = np.asarray(x)
        if not keys.size:
            return self
        if keys.dtype.kind not in "iub":
            raise TypeError(f"keys must be integers, not {keys.dtype}")
        if keys.dtype.kind == "b":
            keys = as_uint8(keys)
        addends = self._weights(weights, keys.shape)
        execution = choose_execution(keys.size, threads, None)
        column = flat(keys, "K" if addends is None else "C")
        if addends is None:
            results = run(Chunk((column,), (self._tables, self._n is None)), add_keys, execution)
            for _, error in results:
                if error is not None:
                    self._take_back(column, [done for done, _ in results])
                    raise error
        elif self._n is None or self._n * MIN_KEYS_PER_BIN <= keys.size:
            sums = run(bincount_job(column, flat(addends), 0, self._n), bincount_weighted, execution)
            self._tables.add(sums, len(sums))
        else:
            # Weights that have been added cannot be taken back exactly, so no key may turn out to be invalid.
            least, greatest = extremes(column, threads)
            if least < 0 or greatest >= self._n:
                raise ValueError(f"the keys from {least} to {greatest} do not lie in 0 … {self._n - 1}")
            run(Chunk((column, flat(addends)), (self._tables,)), add_weights, execution)
        return self

    def _take_back(self, keys: NDArray[Any], counted: list[int]) -> None:
        """Subtract the first keys of each part of a chunk."""
        error = Bincount()
        for (start, _), done in zip(cuts(len(keys), len(counted)), counted, strict=True):
            error.update(keys[start : start + done], threads=1)
        self._tables.add(-error.counts)

    def __repr__(self) -> str:
        counts = self.counts
        return f"<Bincount of {len(counts)} bins, total {counts.sum()}>"

    def _arguments(self) -> dict[str, Any]:
        return {"n": self._n, "dtype": self._dtype}

    def _has_bins_of(self, other: Any) -> bool:
        return bool(self._n == other._n)


class Histogram(Accumulator):
    """The histogram of values that arrive in pieces: `histogram` of all of them.

    Any number of threads may call `update` at once. Each counts into a table of its own, so none waits for another and
    no count is lost. Processes count into accumulators of their own, which are pickled, sent and merged.

    Parameters
    ----------
    bins : int or sequence
        The number of bins of equal width, or their edges.
    range : (float, float), optional
        The first and the last edge; it must be given with a number of bins, because the data is not known yet.
    dtype : dtype, optional
        int64, for counts, or float64, for sums of weights.

    Attributes
    ----------
    counts : ndarray of int64 or float64
        A copy of the counts, one cell a bin.
    edges : ndarray
        The edges, one more than there are bins; read-only.
    total : int or float
        The sum of the counts: values out of range, and NaN, are not counted.
    dtype : dtype
        The dtype of the counts.

    Raises
    ------
    TypeError
        If `bins` is the name of a rule, or a number without `range`, or `dtype` is another one. Otherwise as NumPy.
    ValueError
        If `bins` is less than 1, the edges do not ascend or are NaN, or `range` is not finite.

    Notes
    -----
    The counts equal those of ``numpy.histogram(data, edges)``, where `data` is all chunks joined. If `bins` is a
    number, the edges are of float64 for data of any dtype, while NumPy computes float32 edges for float32 data; to
    count by those, pass them as `bins`.

    Memory is that of the tables, 8 bytes a bin for each thread that has counted at the same time, and of the search for
    bins as in `histogram`, once. Reading `counts` takes O(bins) time for each of the tables.

    `counts` contains every update that has returned. It may contain a part of one that is running, or that Ctrl-C has
    interrupted. Sums of floating weights may differ in their last bits from those of another order of updates.

    ``+`` returns a new accumulator and ``+=`` is `merge`. ``==`` compares edges, dtype and counts. `sum` works, as do
    the modules `copy` and `pickle`.

    Examples
    --------
    >>> import parcount as pc
    >>> h = pc.Histogram(2, range=(0, 1))
    >>> h.update([0.1, 0.7]).update([1.0, 3.0])
    <Histogram of 2 bins from 0.0 to 1.0, total 3>
    >>> h.counts, h.edges
    (array([1, 2]), array([0. , 0.5, 1. ]))
    >>> h += pc.Histogram(2, range=(0, 1)).update([0.2])
    >>> h.counts
    array([2, 2])
    """

    def __init__(
        self,
        bins: Any,
        range: tuple[float, float] | None = None,  # noqa: A002 - NumPy's name
        *,
        dtype: DTypeLike = np.int64,
    ) -> None:
        if isinstance(bins, str):
            raise TypeError(
                f"bins={bins!r} needs the data, which is not known yet: give a number of bins, or the edges"
            )
        if np.ndim(bins) == 0 and range is None:
            raise TypeError("a number of bins needs range=(low, high): the data is not known yet")
        self._edges = np.histogram_bin_edges(np.empty(0), bins, range).copy()
        if len(self._edges) < 2:
            raise ValueError(f"there must be at least 2 edges, not {len(self._edges)}")
        if not (self._edges[:-1] <= self._edges[1:]).all():
            raise ValueError("the edges must not be NaN")
        self._edges.flags.writeable = False
        self._by_float64: dict[np.dtype[Any], bool] = {}
        self._searches: dict[bool, BinSearch] = {}
        super().__init__(len(self._edges) - 1, dtype)

    @property
    def edges(self) -> NDArray[Any]:
        """The edges, one more than there are bins."""
        return self._edges

    def update(self, a: ArrayLike, weights: ArrayLike | None = None, *, threads: int | None = None) -> Self:
        """Count the values of a chunk, or add their weights.

        Parameters
        ----------
        a : array_like
            The values, of any shape.
        weights : array_like, of the shape of `a` or a number, optional
            What each value adds. The default is one.
        threads : int, optional
            Number of threads. The default is as many as pay off, at most `get_num_threads`.

        Returns
        -------
        Histogram
            This accumulator.

        Raises
        ------
        TypeError
            If `weights` cannot be cast to float64 safely or are given with dtype int64. Otherwise as `histogram`.
        ValueError
            If `weights` have another shape, or `threads` is less than 1.

        Notes
        -----
        O(a.size) time, as `histogram`, with the GIL released.
        """
        values = np.asarray(a)
        addends = self._weights(weights, values.shape)
        if not are_supported(values, addends) or not self._compare_as_float64(values):
            self._tables.add(numpy_histogram(values, self._edges, weights=addends)[0])
            return self
        single = values.dtype.type is np.float32
        if single not in self._searches:
            self._searches[single] = BinSearch(np.ascontiguousarray(self._edges, np.float64), single)
        settings = self._tables, self._searches[single]
        execution = choose_execution(values.size, threads, None)
        if addends is None:
            run(Chunk((flat(values, "K"),), settings), add_values, execution)
        else:
            run(Chunk((flat(values), flat(addends)), settings), weigh_values, execution)
        return self

    def __repr__(self) -> str:
        return (
            f"<Histogram of {len(self._edges) - 1} bins from {self._edges[0]} to {self._edges[-1]}, total {self.total}>"
        )

    def _arguments(self) -> dict[str, Any]:
        return {"bins": self._edges, "dtype": self._dtype}

    def _has_bins_of(self, other: Any) -> bool:
        return np.array_equal(self._edges, other._edges)

    def _compare_as_float64(self, values: NDArray[Any]) -> bool:
        its = values.dtype
        if its not in self._by_float64:
            self._by_float64[its] = compare_as_float64(values, self._edges)
        return self._by_float64[its]
