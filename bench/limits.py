"""The least that a call has to do with its data, as compiled loops to time beside it (limits.c).

They are compiled for the instructions that the kernels of this process use, and run without the GIL on the pinned
threads that the array functions run on. Each limit is a function of the number of threads.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from parcount._native.cpu_features import ENABLED
from parcount.execution.pinned_threads import pinned_threads

Limit = Callable[[int], Any]

CPU_CLASS = next((name for name in ("AVX512", "AVX2", "NEON") if name in ENABLED), "baseline")
"""The widest vectors that the kernels of this process use."""

INSTRUCTIONS = {
    "AVX512": ["-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512bw", "-mprefer-vector-width=512"],
    "AVX2": ["-mavx2"],
}
FANOUT = 256
PER_LINE = 8


@cache
def compiled() -> ctypes.CDLL:
    """The loops, compiled with ``$CC`` or cc."""
    source = Path(__file__).with_suffix(".c")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, "limits.so")
        options = ["-O3", *INSTRUCTIONS.get(CPU_CLASS, []), "-shared", "-fPIC", "-o", library]
        subprocess.run([*shlex.split(os.environ.get("CC", "cc")), *options, source], check=True)
        loops = ctypes.CDLL(str(library))
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    for name, types in {
        "read": [pointer, size],
        "store_4": [pointer, pointer, size],
        "store_8": [pointer, pointer, size],
        "update": [pointer, size, pointer, ctypes.c_int],
        "partition": [pointer, size, pointer, size],
        "add": [pointer, size],
    }.items():
        loop = getattr(loops, f"limit_{name}")
        loop.argtypes, loop.restype = types, ctypes.c_uint64
    return loops


def on_threads(function: Callable[..., Any], *arrays: np.ndarray) -> Limit:
    """Call ``function(part, of, *slices)`` for each of as many parts of the arrays as there are threads."""

    def run(threads: int) -> None:
        slices = zip(*(np.array_split(array, threads) for array in arrays), strict=True)
        items = [(part, threads, *each) for part, each in enumerate(slices)]
        pinned_threads(threads).map(lambda item: function(*item), items)

    return run


def reading(*arrays: np.ndarray) -> Limit:
    """Reading all arrays."""

    def read(_part: int, _of: int, *slices: np.ndarray) -> None:
        for each in slices:
            compiled().limit_read(each.ctypes.data, each.nbytes)

    return on_threads(read, *arrays)


def storing(x: np.ndarray, y: np.ndarray | None = None) -> Limit:
    """Reading one array or two, and for each element adding one to a cell of a table in the first cache."""
    assert y is None or y.itemsize == x.itemsize

    def store(_part: int, _of: int, *slices: np.ndarray) -> None:
        first, *others = slices
        loop = getattr(compiled(), f"limit_store_{x.itemsize}")
        loop(first.ctypes.data, others[0].ctypes.data if others else None, len(first))

    return on_threads(store, *(array for array in (x, y) if array is not None))


def updating(x: np.ndarray, bins: int) -> Limit:
    """Reading 64-bit keys, and for each adding one to a random cell of a table of int64 that the threads divide."""
    assert x.itemsize == 8
    table = np.ones(bins, np.int64)  # all pages are there before anything is timed

    def update(part: int, of: int, keys: np.ndarray) -> None:
        bits = (bins // of).bit_length() - 1
        compiled().limit_update(keys.ctypes.data, len(keys), table[part << bits :].ctypes.data, bits)

    return on_threads(update, x)


def partitioning(x: np.ndarray) -> Limit:
    """Reading 64-bit keys, and moving each to one of 256 parts by its hash."""
    assert x.itemsize == 8
    room = (len(x) * 9 // 8 // FANOUT // PER_LINE + 1) * PER_LINE
    to = np.ones(FANOUT * room + PER_LINE, np.uint64)
    to = to[-to.ctypes.data % 64 // 8 :]

    def partition(part: int, of: int, keys: np.ndarray) -> None:
        its = room // of // PER_LINE * PER_LINE
        where = to[part * FANOUT * its :]
        compiled().limit_partition(keys.ctypes.data, len(keys), where.ctypes.data, its)

    return on_threads(partition, x)


def adding(a: np.ndarray) -> Limit:
    """Reading 64-bit cells and writing them again."""
    assert a.itemsize == 8

    def add(_part: int, _of: int, cells: np.ndarray) -> None:
        compiled().limit_add(cells.ctypes.data, len(cells))

    return on_threads(add, a.copy())
