from typing import Any, overload

from numpy import float64, int64, integer
from numpy.typing import NDArray

METHODS: dict[str, int]
BYTE_METHODS: dict[str, int]
FUNCTIONS: object

def fill(
    counts: NDArray[int64], keys: NDArray[integer[Any]], method: str | None = None, release: bool = True
) -> int: ...
@overload
def fill_weighted(
    sums: NDArray[float64], keys: NDArray[integer[Any]], weights: NDArray[float64]
) -> tuple[int, int]: ...
@overload
def fill_weighted(sums: NDArray[int64], keys: NDArray[integer[Any]], weights: NDArray[int64]) -> tuple[int, int]: ...
