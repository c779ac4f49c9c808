"""`bincount`: how often each non-negative integer occurs."""

from __future__ import annotations

import sys
from operator import index
from typing import Any

import numpy as np
from numpy import bincount as numpy_bincount  # a name of its own: ours may stand in NumPy's place
from numpy.typing import ArrayLike, NDArray

from parcount._native.dispatch import dispatch_bincount
from parcount.arrays.out import accumulate, check_out
from parcount.engine.run import count, pieces
from parcount.engine.threads import choose_execution
from parcount.execution.base import Execution
from parcount.kernels.blocks import as_uint8
from parcount.kernels.keys import KERNEL, glance
from parcount.kernels.slices import Slices

KEYS_A_BIN = 8
"""Fewer, and private tables cost more than other workers spare (``bench/peers.py``: 20 million keys, 2^24 bins)."""

OWNED = 1 << 16
"""Bins up to which the result is copied out of the table it was counted in, which is longer."""


@dispatch_bincount(numpy_bincount)
def bincount(
    x: ArrayLike,
    /,
    weights: ArrayLike | None = None,
    minlength: int = 0,
    *,
    out: NDArray[Any] | None = None,
    threads: int | None = None,
    on: Execution | None = None,
) -> NDArray[Any]:
    """Count how often each value occurs in an array of non-negative integers: `numpy.bincount` on all cores.

    Parameters
    ----------
    x : array_like, 1 dimension, of any integer dtype or bool
        The keys. Unlike NumPy it takes ``uint64`` too, and widens no smaller dtype.
    weights : array_like, same shape as `x`, optional
        What each key adds, instead of one.
    minlength : int, optional
        The least length of the result.
    out : ndarray, 1 dimension, optional
        Where to add the counts to what there is, so that data that arrives in pieces is counted without temporaries:
        of any integer dtype, or a floating one with `weights`. Keys must be less than its length.
    threads : int, optional
        How many threads; as many as pay off by default, at most `get_num_threads`.
    on : Execution, optional
        Who runs it, in place of `threads`.

    Returns
    -------
    ndarray of int64, or of float64 with `weights`
        Cell k holds the count of key k; as long as the largest key needs, but at least `minlength`. With `out`: that.

    Raises
    ------
    TypeError
        As NumPy: if `x` is not of integers, or `weights` cannot be cast to float64 safely.
    ValueError
        As NumPy: if a key is negative, `x` has not one dimension, or `weights` has not its shape. If a key does not
        fit into `out`, or `out` cannot be written.
    OverflowError
        If a count would pass the limit of `out`'s dtype; `out` is left as it was.
    MemoryError
        If there is no memory for as many bins as the largest key needs.

    Notes
    -----
    One pass: O(len(x) + bins) time. At most ``8 * bins`` bytes for the result, and for each worker ``8 * bins`` and
    ``max(16384, bins)``, with `bins` rounded up to a power of two, or from 2**20 on by a 64th. Input that is not
    contiguous or not in native byte order is converted 2**18 elements at a time. The GIL is released throughout.

    Sums of floating `weights` may differ from NumPy's in their last bits, for each worker adds up its own part first:
    by at most ``len(x) * eps`` times the sum of the absolute weights, as with any order. They are the same from call
    to call for one number of workers.

    Another thread that changes `x` meanwhile makes the counts wrong, but nothing outside the tables is written.

    Nothing of a dask array is counted yet: what is returned, or raised, is as of `dask.array.bincount`, and
    ``split_every=`` may be given as there. The tasks count each block by the same loops, on the one thread that runs
    them, and merge the counts in a tree. parcount must be installed where they run. `out`, `threads` and `on` are a
    TypeError.

    Examples
    --------
    >>> import parcount as pc
    >>> pc.bincount([0, 1, 1, 3])
    array([1, 2, 0, 1])
    >>> pc.bincount([0, 1, 1], weights=[0.5, 1, 2])
    array([0.5, 3. ])
    """
    if (job := _job(x, weights, minlength, out)) is None:
        sums: NDArray[Any] = numpy_bincount(x, weights, minlength)
    else:
        bins = glance(job.columns[0]) if out is None else len(out)
        worth = job.size if bins * KEYS_A_BIN <= job.size else 0
        on = choose_execution(worth, threads, on)
        sums = count(job, KERNEL, on, shares=pieces(job.size, bins, on))
        if sums.base is not None and len(sums) <= OWNED:
            sums = sums.copy()
    if out is None:
        return sums
    if len(sums) > len(out):
        raise ValueError(f"out has {len(out)} cells, fewer than minlength {minlength}")
    accumulate(out, sums)
    return out


def _job(x: ArrayLike, weights: ArrayLike | None, minlength: int, out: NDArray[Any] | None) -> Slices | None:
    """The job, or None if it is not one for the compiled loops: NumPy then has the answer, or the error."""
    if out is not None:
        check_out(out, None, np.int64 if weights is None else np.float64)
    keys = np.asarray(x)
    if keys.ndim != 1 or keys.dtype.kind not in "iub" or not len(keys):
        return None
    if isinstance(minlength, bool) or not hasattr(minlength, "__index__") or not 0 <= index(minlength) <= sys.maxsize:
        return None
    if weights is not None:
        weights = np.asarray(weights)
        if weights.shape != keys.shape or not np.can_cast(weights.dtype, np.float64):
            return None
    if keys.dtype.kind == "b":
        keys = as_uint8(keys)
    return Slices([keys], weights, (index(minlength), None if out is None else len(out)))
