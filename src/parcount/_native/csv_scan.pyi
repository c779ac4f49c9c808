from collections.abc import Callable, Iterable
from typing import Any, Self

from _typeshed import ReadableBuffer
from numpy import int64, uint8
from numpy.typing import NDArray

SHORT_ROWS: dict[str, int]

class ShortRow(ValueError): ...
class InvalidLine(ValueError): ...

class FieldScanner:
    def __new__(
        cls,
        column: int = 0,
        *,
        key: bytes | None = None,
        delimiter: int = 44,
        quote: int | None = 34,
        short_rows: str = "error",
        features: Iterable[str] | None = None,
    ) -> Self: ...
    @property
    def open_quote(self) -> bool: ...
    def update(self, table: Any, spill: Callable[[], object], block: ReadableBuffer, *, last: bool) -> int: ...
    def complete(self, block: ReadableBuffer) -> int: ...

def add_spans(
    table: Any,
    spill: Callable[[], object],
    data: ReadableBuffer | NDArray[uint8],
    offsets: NDArray[int64],
    counts: NDArray[int64],
) -> None: ...
