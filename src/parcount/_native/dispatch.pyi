from collections.abc import Callable
from typing import Any, TypeVar

_Function = TypeVar("_Function", bound=Callable[..., Any])

def add_in_place(a: Any, by: Any = 1) -> None: ...
def dispatch(
    numpy_function: Callable[..., Any],
    *own_keywords: str,
    dask_function: Callable[..., Any] | None = None,
    size_argument: int = 0,
    required: int = 0,
) -> Callable[[_Function], _Function]: ...
def set_small(elements: int) -> None: ...
