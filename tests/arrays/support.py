"""Input of every kind that NumPy's functions take, and how alike two answers are."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.typing import NDArray

INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]

Array = NDArray[Any]

measures_memory = pytest.mark.thread_unsafe(reason="tracemalloc counts what any thread takes")
warns_as_numpy_does = pytest.mark.filterwarnings("ignore")
"""Set before the test's threads start: `warnings.catch_warnings` inside it would change the filters of all of them."""


def strided(a: Array) -> Array:
    spread = np.zeros(2 * len(a), a.dtype)
    spread[::2] = a
    return spread[::2]


def reversed_(a: Array) -> Array:
    return a[::-1].copy()[::-1]


def swapped(a: Array) -> Array:
    return a.astype(a.dtype.newbyteorder())


def unaligned(a: Array) -> Array:
    return np.frombuffer(b"?" + a.tobytes(), np.uint8)[1:].view(a.dtype)


def read_only(a: Array) -> Array:
    a = a.copy()
    a.flags.writeable = False
    return a


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "plain": lambda a: a,
    "strided": strided,
    "reversed": reversed_,
    "swapped": swapped,
    "unaligned": unaligned,
    "read-only": read_only,
}

layouts = st.sampled_from(list(LAYOUTS))


def outcome(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What a call returns, or the type of what it raises."""
    try:
        return call(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - which one is what is compared
        return type(error)


def assert_same(ours: Any, numpys: Any) -> None:
    """Equal in type, value, dtype and shape, through tuples and lists."""
    if isinstance(numpys, tuple | list):
        assert type(ours) is type(numpys)
        assert len(ours) == len(numpys)
        for one, other in zip(ours, numpys, strict=True):
            assert_same(one, other)
    elif isinstance(numpys, np.ndarray):
        assert type(ours) is type(numpys)
        assert ours.dtype == numpys.dtype
        assert ours.shape == numpys.shape
        np.testing.assert_array_equal(ours, numpys)
    else:
        assert ours == numpys
