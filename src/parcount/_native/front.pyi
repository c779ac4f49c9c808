from collections.abc import Callable
from typing import Any, TypeVar

_Function = TypeVar("_Function", bound=Callable[..., Any])

def added(a: Any, by: Any = 1) -> None: ...
def front(
    numpys: Callable[..., Any], *own: str, lazily: Callable[..., Any] | None = None, sized: int = 0, needs: int = 0
) -> Callable[[_Function], _Function]: ...
def set_small(elements: int) -> None: ...
