from collections.abc import Callable
from typing import Any, Self, TypeVar

_Record = TypeVar("_Record")

ALIGNMENT: int
HEADER_SIZE: int
MAX_RECORD: int
LOCK_APPEND: int
LOCK_ATTACH: int
LOCK_USES_LOCK: int
LOCK_USES_RESERVE: int
LOCK_USES_QUEUE: int
LOCK_SLOTS: int
RECORDS_AT: int
END_AT: int
ALLOCATED_AT: int
SLOTS_AT: int
SLOT_SIZE: int
SLOT_CELLS: int

def crc32c(data: Any, /, value: int = 0) -> int: ...
def build_block(marker: bytes, offset: int, writer: int, sequence: int, data: Any, /) -> bytes: ...
def scan(
    data: Any,
    offset: int,
    end: int,
    marker: bytes,
    searching: bool,
    record: Callable[[bytes, int, int, int], _Record],
    /,
) -> tuple[list[_Record], int, int, int]: ...
def lock(descriptor: int, which: int, *, shared: bool = False, wait: bool = True) -> bool: ...
def unlock(descriptor: int, which: int) -> None: ...
def is_locked(descriptor: int, which: int) -> bool: ...
def append_locked(descriptor: int, marker: bytes, writer: int, sequence: int, data: Any, /) -> None: ...
def append_line(descriptor: int, data: Any, /) -> None: ...
def file_system(descriptor: int) -> int: ...

class ReserveAppender:
    def __new__(cls, descriptor: int, slot: int, marker: bytes, writer: int) -> Self: ...
    def detach(self) -> None: ...
    def abandon(self) -> None: ...
    def append(self, data: Any, /) -> int: ...
