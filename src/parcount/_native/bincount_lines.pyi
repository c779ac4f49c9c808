from typing import Any

from numpy import float64, int64, integer
from numpy.typing import NDArray

def count_lines(counts: NDArray[int64], keys: NDArray[integer[Any]], skip: bool = False) -> None: ...
def weigh_lines(
    sums: NDArray[float64], keys: NDArray[integer[Any]], weights: NDArray[float64], skip: bool = False
) -> None: ...
