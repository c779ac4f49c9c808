from typing import Any

from numpy import int64, integer
from numpy.typing import NDArray

def released(counts: NDArray[int64], keys: NDArray[integer[Any]]) -> None: ...
def held(counts: NDArray[int64], keys: NDArray[integer[Any]]) -> None: ...
