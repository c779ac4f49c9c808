"""Arguments that have an ``__array_function__`` of their own (NEP 18)."""

from typing import Any

import numpy as np
import pytest

import parcount as pc


class Duck:
    """Takes over NumPy's functions, and returns what it was asked."""

    shape = 3, 2

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return function, args, kwargs


duck: Any = Duck()
CALLS: dict[str, list[tuple[tuple[Any, ...], dict[str, Any]]]] = {
    "bincount": [((duck,), {}), ((duck,), {"minlength": 3}), (([1], duck), {})],
    "histogram": [((duck, 3), {}), (([1], duck), {"range": (0, 1)}), (([1],), {"weights": duck})],
    "histogram2d": [(([1], duck), {}), (([1], [2]), {"bins": [duck, 3]}), (([1], [2]), {"weights": duck})],
    "histogramdd": [((duck,), {}), (([[1], duck],), {"bins": 3}), (([[1], [2]],), {"weights": duck})],
    "unique_counts": [((duck,), {})],
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("ours", [{}, {"threads": 2}, {"on": pc.Serial()}, {"threads": None, "on": None}], ids=str)
def test_they_see_what_the_caller_gave_but_for_keywords_that_say_who_counts(name: str, ours: dict[str, Any]) -> None:
    for args, keywords in CALLS[name]:
        assert getattr(pc, name)(*args, **keywords, **ours) == (getattr(np, name), args, keywords)


@pytest.mark.parametrize("name", ["bincount", "histogram"])
def test_they_have_no_out(name: str) -> None:
    for args, keywords in CALLS[name]:
        with pytest.raises(TypeError, match=f"{name}\\(\\) does not take out= with an argument of type Duck"):
            getattr(pc, name)(*args, **keywords, out=np.zeros(3, int))
    with pytest.raises(TypeError, match="of type Duck"):
        getattr(pc, name)([1], out=duck)


def test_unique_counts_need_not_be_sorted() -> None:
    assert pc.unique_counts(duck, sorted=False, axis=None) == (np.unique_counts, (duck,), {})


def test_unique_counts_have_no_axis() -> None:
    for function in (pc.unique_counts, pc.value_counts):
        with pytest.raises(TypeError, match=r"unique_counts\(\) does not take axis= with an argument of type Duck"):
            function(duck, axis=0)


@pytest.mark.parametrize("axis", [None, 0])
def test_bincount_has_no_axis(axis: int | None) -> None:
    with pytest.raises(TypeError, match=r"bincount\(\) does not take axis= with an argument of type Duck"):
        pc.bincount(duck, axis=axis)


def test_a_class_without_a_module_is_no_dask_array() -> None:
    strange: Any = type("Strange", (Duck,), {"__module__": None})()
    assert pc.histogram(strange) == (np.histogram, (strange,), {})
