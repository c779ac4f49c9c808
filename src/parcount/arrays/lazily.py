"""The way to what counts dask's arrays, which loads dask no sooner than there is one."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any


def lazily(name: str) -> Callable[..., Any]:
    """The function of that name in `parcount.arrays.dask`, which its first call imports."""

    def call(*args: Any, **keywords: Any) -> Any:
        return getattr(import_module("parcount.arrays.dask"), name)(*args, **keywords)

    return call
