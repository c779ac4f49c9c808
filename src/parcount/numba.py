"""The counting loops for functions that Numba compiles.

`bincount` and `histogram` can be called from functions decorated with ``@njit``, those with ``nogil=True`` and
``parallel=True`` included, and from Python. They run the loops of the array functions on the calling thread without the
GIL. They add to a table of the caller and raise no exceptions. Numba has to be installed.
"""

from __future__ import annotations

from ctypes import CFUNCTYPE, c_ssize_t, c_void_p
from typing import Any
from weakref import finalize

import llvmlite.binding
import numba
import numpy as np
from numba import types
from numba.extending import get_cython_function_address, overload
from numpy.typing import ArrayLike, NDArray

from parcount.kernels.numba_loops import compiled

__all__ = ["Edges", "bincount", "histogram"]

MODULE = "parcount._native.c_interface"


def _external(name: str, result: Any, *arguments: Any) -> Any:
    """A function of the C interface by its symbol, so that Numba can cache the code that calls it."""
    symbol = f"parcount_{name}"
    llvmlite.binding.add_symbol(symbol, get_cython_function_address(MODULE, name))
    return types.ExternalFunction(symbol, result(*arguments))


_TABLE = types.voidptr, types.intp, types.voidptr  # a table, its length, keys
_HISTOGRAM = types.voidptr, types.uintp, types.voidptr  # a table, edges, values

_BINCOUNT = {
    types.uint8: _external("bincount_uint8", types.intp, *_TABLE, types.intp),
    types.int32: _external("bincount_int32", types.intp, *_TABLE, types.intp),
    types.int64: _external("bincount_int64", types.intp, *_TABLE, types.intp),
}
_BINCOUNT_WEIGHTED = {
    types.int32: _external("bincount_weighted_int32", types.intp, *_TABLE, types.voidptr, types.intp),
    types.int64: _external("bincount_weighted_int64", types.intp, *_TABLE, types.voidptr, types.intp),
}
_HISTOGRAMS = {
    types.float32: _external("histogram_float32", types.intp, *_HISTOGRAM, types.intp),
    types.float64: _external("histogram_float64", types.intp, *_HISTOGRAM, types.intp),
}
_histogram_weighted = _external("histogram_weighted_float64", types.intp, *_HISTOGRAM, types.voidptr, types.intp)
_edges_new = CFUNCTYPE(c_void_p, c_void_p, c_ssize_t)(get_cython_function_address(MODULE, "edges_new"))
_edges_free = CFUNCTYPE(None, c_void_p)(get_cython_function_address(MODULE, "edges_free"))


def _check(name: str, array: Any, *dtypes: Any) -> None:
    """Raise a TypingError unless an argument is a contiguous vector of one of the dtypes."""
    if not (isinstance(array, types.Array) and array.ndim == 1 and array.layout == "C" and array.dtype in dtypes):
        names = " or ".join(map(str, dtypes))
        raise numba.TypingError(f"{name} must be a C-contiguous 1-D array of {names}, not {array}")


def _none(weights: Any) -> bool:
    return weights is None or isinstance(weights, types.NoneType | types.Omitted)


def _bincount(table: Any, keys: Any, weights: Any) -> Any:
    """Replaced in compiled code, as is the next."""


def _histogram(table: Any, edges: Any, values: Any, weights: Any) -> Any: ...


@overload(_bincount, strict=False)
def _typed_bincount(table: Any, keys: Any, weights: Any) -> Any:
    _check("table", table, types.int64 if _none(weights) else types.float64)
    if _none(weights):
        _check("keys", keys, *_BINCOUNT)
        count = _BINCOUNT[keys.dtype]
        return lambda table, keys, weights: count(table.ctypes, len(table), keys.ctypes, len(keys))  # noqa: ARG005
    _check("keys", keys, *_BINCOUNT_WEIGHTED)
    _check("weights", weights, types.float64)
    weigh = _BINCOUNT_WEIGHTED[keys.dtype]
    return lambda table, keys, weights: (
        weigh(table.ctypes, len(table), keys.ctypes, weights.ctypes, len(keys)) if len(weights) == len(keys) else -2
    )


@overload(_histogram, strict=False)
def _typed_histogram(table: Any, edges: Any, values: Any, weights: Any) -> Any:  # noqa: ARG001
    _check("table", table, types.int64 if _none(weights) else types.float64)
    if _none(weights):
        _check("values", values, *_HISTOGRAMS)
        count = _HISTOGRAMS[values.dtype]
        return lambda table, edges, values, weights: (  # noqa: ARG005
            count(table.ctypes, edges[0], values.ctypes, len(values)) if len(table) == edges[1] else -2
        )
    _check("values", values, types.float64)
    _check("weights", weights, types.float64)
    weigh = _histogram_weighted
    return lambda table, edges, values, weights: (
        weigh(table.ctypes, edges[0], values.ctypes, weights.ctypes, len(values))
        if len(table) == edges[1] and len(weights) == len(values)
        else -2
    )


@compiled()
def bincount(table: NDArray[Any], keys: NDArray[Any], weights: NDArray[Any] | None = None) -> int:
    """Add to ``table[key]`` one for each key, or its weight.

    Parameters
    ----------
    table : ndarray of int64, or of float64 with weights
        The counts or sums, C-contiguous.
    keys : ndarray of uint8, int32 or int64
        C-contiguous; with weights, int32 or int64.
    weights : ndarray of float64, optional
        One for each key.

    Returns
    -------
    int
        The number of keys that were counted. It is less than ``len(keys)`` if a key is negative or not less than
        ``len(table)``: that key and those after it were not counted. -1 without memory, and -2 if the number of weights
        is not that of the keys; nothing was counted then.

    Notes
    -----
    O(keys + bins) time, at most O(bins) additional memory. The call cannot be interrupted. Several threads must not add
    to one table at once.

    Examples
    --------
    >>> import numpy as np
    >>> from numba import njit
    >>> from parcount.numba import bincount
    >>> @njit(nogil=True)
    ... def count_even(keys):
    ...     counts = np.zeros(4, np.int64)
    ...     bincount(counts, 2 * (keys // 2))
    ...     return counts
    >>> count_even(np.array([0, 1, 2, 3, 3]))
    array([2, 0, 3, 0])
    """
    return _bincount(table, keys, weights)  # type: ignore[no-any-return]


@compiled()
def histogram(
    table: NDArray[Any], edges: tuple[int, int], values: NDArray[Any], weights: NDArray[Any] | None = None
) -> int:
    """Add to the bin of each value one, or its weight, as `numpy.histogram` does.

    Parameters
    ----------
    table : ndarray of int64, or of float64 with weights
        The counts or sums, C-contiguous, one for each bin.
    edges : tuple
        `Edges.prepared`, of edges that are alive during the call.
    values : ndarray of float32 or float64
        C-contiguous; with weights, float64. Values outside of all bins and NaN are not counted.
    weights : ndarray of float64, optional
        One for each value.

    Returns
    -------
    int
        ``len(values)``; -1 without memory, and -2 if the number of bins or of weights is wrong.

    Notes
    -----
    O(values + bins) time, O(bins) additional memory. The call cannot be interrupted. Several threads must not add to
    one table at once.

    Examples
    --------
    >>> import numpy as np
    >>> from numba import njit
    >>> from parcount.numba import Edges, histogram
    >>> @njit(nogil=True)
    ... def of_squares(edges, values):
    ...     counts = np.zeros(edges[1], np.int64)
    ...     histogram(counts, edges, values * values)
    ...     return counts
    >>> edges = Edges([0, 1, 4, 9])
    >>> of_squares(edges.prepared, np.array([0.5, 1.0, 2.0, 3.0]))
    array([1, 1, 2])
    """
    return _histogram(table, edges, values, weights)  # type: ignore[no-any-return]


class Edges:
    """Ascending edges of bins, prepared for `histogram`.

    Parameters
    ----------
    edges : array_like
        Two or more, copied as float64. The last bin includes its upper edge.

    Attributes
    ----------
    prepared : tuple of (int, int)
        The address of what was prepared and the number of bins: an argument for compiled functions. It is valid until
        this object is deleted.

    Raises
    ------
    ValueError
        If the edges do not ascend.
    """

    def __init__(self, edges: ArrayLike) -> None:
        array = np.ascontiguousarray(edges, np.float64)
        address = _edges_new(array.ctypes.data, len(array)) if array.ndim == 1 else None
        if not address:
            raise ValueError("there must be two or more edges in one dimension, and they must ascend")
        self.prepared = np.uintp(address), len(array) - 1
        finalize(self, _edges_free, address)
