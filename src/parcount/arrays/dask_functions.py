"""The functions of `parcount.dask`, which is imported when one of them is first called."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any


def dask_function(name: str) -> Callable[..., Any]:
    """The function of that name in `parcount.dask`."""

    def call(*args: Any, **keywords: Any) -> Any:
        return getattr(import_module("parcount.dask"), name)(*args, **keywords)

    return call
