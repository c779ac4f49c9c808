import sys
from types import TracebackType
from typing import Self

class MappedFile:
    failed: bool
    def __new__(cls, descriptor: int, start: int, stop: int) -> Self: ...
    if sys.version_info >= (3, 12):
        def __buffer__(self, flags: int, /) -> memoryview: ...

    def __enter__(self) -> memoryview: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
