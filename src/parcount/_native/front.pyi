from collections.abc import Callable
from typing import Any, TypeVar

_Function = TypeVar("_Function", bound=Callable[..., Any])

def front(numpys: Callable[..., Any], *own: str) -> Callable[[_Function], _Function]: ...
def set_small(elements: int) -> None: ...
