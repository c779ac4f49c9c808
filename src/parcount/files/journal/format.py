"""The file of a journal: its header, and how a writer opens it. docs/journal.md describes the format."""

from __future__ import annotations

import errno
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from secrets import token_bytes

from parcount._native import journal_blocks
from parcount._native.journal_blocks import (
    ALIGNMENT,
    ALLOCATED_AT,
    END_AT,
    LOCK_ATTACH,
    LOCK_SLOTS,
    LOCK_USES_LOCK,
    LOCK_USES_QUEUE,
    LOCK_USES_RESERVE,
    RECORDS_AT,
    SLOT_SIZE,
    SLOTS_AT,
)

VERSION = 1

COPY_AT = RECORDS_AT - 64
"""Where the copy of the header is. Between the two is the state of writers that reserve."""

SLOTS = (COPY_AT - SLOTS_AT) // SLOT_SIZE
"""How many processes can have a journal open at the same time to write to reserved space."""

_HEADER = struct.Struct("<8sI4x8s36xI")
HEADER_SIZE = _HEADER.size
_WORD = struct.Struct("=q")
_MAGIC = b"\x89pcjrnl\n"
_STEP = 1 << 20

_FILE_SYSTEMS = {0xEF53, 0x58465342, 0x01021994}
"""The numbers of ext4, XFS and tmpfs."""

_USES = {"lock": LOCK_USES_LOCK, "queue": LOCK_USES_QUEUE, "reserve": LOCK_USES_RESERVE}
"""The lock that a writer of each kind shares with the others of its kind as long as it has the file open."""


@dataclass(frozen=True)
class OpenFile:
    """A journal that is open for writing."""

    descriptor: int
    marker: bytes
    slot: int
    """The place of its state, for a writer that reserves; otherwise -1."""


def open_for_writing(path: str, how: str, *, text: bool = False) -> OpenFile:
    """Open a journal, or create it, for a writer of one kind. The descriptor is closed with `os.close`.

    Raises OSError, with ``EBUSY`` if writers of another kind have it open; ValueError if the file is no journal, has a
    later version or a damaged header, or a journal with blocks where it is to be a text.
    """
    refuse_windows()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        if how == "reserve" and not can_reserve(descriptor):
            raise OSError(errno.EOPNOTSUPP, "space cannot be reserved safely on this file system; use how='lock'", path)
        return use(descriptor, path, how, text=text)
    except BaseException:
        os.close(descriptor)
        raise


def refuse_windows() -> None:
    """Raise NotImplementedError on Windows."""
    if os.name == "nt":
        raise NotImplementedError("a journal cannot be written on Windows: its writers need POSIX locks")


def use(descriptor: int, path: str, how: str, *, text: bool = False) -> OpenFile:
    """Become one of a journal's writers of one kind, with a descriptor that is not one yet.

    The marker of a text journal is empty.
    """
    with locked(descriptor, LOCK_ATTACH):
        in_use = {kind: journal_blocks.is_locked(descriptor, lock) for kind, lock in _USES.items()}
        for kind, used in in_use.items():
            if used and kind != how:
                raise OSError(errno.EBUSY, f"the journal is open with how={kind!r}, which excludes how={how!r}", path)
        content = os.pread(descriptor, RECORDS_AT + 1, 0)
        marker = b""
        if text:
            if is_journal(content):
                raise ValueError(f"{path} is a journal with blocks, not with lines of text")
        elif len(content) > RECORDS_AT or any(content[:HEADER_SIZE]):
            marker = read_marker(content, path)
        elif any(in_use.values()):
            raise OSError(errno.EBUSY, "the file is open as a text journal", path)
        else:  # empty, or its creator was killed
            header = new_header()
            marker = read_marker(header, path)
            os.pwrite(descriptor, header, COPY_AT)
            os.pwrite(descriptor, header, 0)
        if not text and not any(in_use.values()):
            end = trim(descriptor)
            if how == "reserve":
                os.pwrite(descriptor, _WORD.pack(end), END_AT)
                os.pwrite(descriptor, _WORD.pack(end) + _WORD.pack(0), ALLOCATED_AT)
        slot = _take_slot(descriptor, path) if how == "reserve" else -1
        journal_blocks.lock(descriptor, _USES[how], shared=True)
    return OpenFile(descriptor, marker, slot)


def leave(descriptor: int) -> None:
    """Stop being a writer that reserves: the last one frees the space that was not used."""
    with locked(descriptor, LOCK_ATTACH):
        journal_blocks.unlock(descriptor, LOCK_USES_RESERVE)
        if not any(journal_blocks.is_locked(descriptor, lock) for lock in _USES.values()):
            trim(descriptor)


def _take_slot(descriptor: int, path: str) -> int:
    """Take the first slot that no living writer has, whose lock the kernel releases."""
    for slot in range(SLOTS):
        if journal_blocks.lock(descriptor, LOCK_SLOTS + slot, wait=False):
            os.pwrite(descriptor, _WORD.pack(0) * 7 + _WORD.pack(os.getpid()), SLOTS_AT + SLOT_SIZE * slot)
            used = _WORD.unpack(os.pread(descriptor, 8, ALLOCATED_AT + 8))[0]
            os.pwrite(descriptor, _WORD.pack(max(used, slot + 1)), ALLOCATED_AT + 8)
            return slot
    raise OSError(errno.EAGAIN, f"{SLOTS} processes have the journal open, which is the most", path)


def oldest_append(descriptor: int) -> int | None:
    """The lowest offset that a living writer may still fill; None if no writer that reserves is appending.

    The writers of the cells with greater offsets cannot have an offset below theirs.
    """
    used = _WORD.unpack(os.pread(descriptor, 8, ALLOCATED_AT + 8))[0]
    state = os.pread(descriptor, SLOT_SIZE * min(used, SLOTS), SLOTS_AT)
    offsets = []
    for slot, cells in enumerate(struct.iter_unpack("=7q8x", state)):
        if any(cells) and journal_blocks.is_locked(descriptor, LOCK_SLOTS + slot):
            offsets.append(min(filter(None, cells)))
    return min(offsets, default=None)


@contextmanager
def locked(descriptor: int, which: int) -> Iterator[None]:
    """Hold one of the locks of a journal."""
    journal_blocks.lock(descriptor, which)
    try:
        yield
    finally:
        journal_blocks.unlock(descriptor, which)


def new_header() -> bytes:
    """Return the header of a new journal. Data cannot contain its marker but by chance, because it is random."""
    fields = _HEADER.pack(_MAGIC, VERSION, token_bytes(8), 0)[:-4]
    return fields + journal_blocks.crc32c(fields).to_bytes(4, "little")


def is_journal(content: bytes) -> bool:
    """Whether the beginning of a file is that of a journal, damaged or not."""
    return content.startswith(_MAGIC) or content[COPY_AT:].startswith(_MAGIC)


def read_marker(content: bytes, path: str, *, damaged: bool = False) -> bytes:
    """Return the marker in the first `RECORDS_AT` bytes of a file; with `damaged`, from the copy if need be.

    Raises ValueError.
    """
    if not is_journal(content):
        raise ValueError(f"{path} is not a journal")
    for offset in (0, COPY_AT) if damaged else (0,):
        if header_is_valid(content, offset):
            _, version, marker, _ = _HEADER.unpack_from(content, offset)
            if version != VERSION:
                raise ValueError(f"{path} is a journal of version {version}; this release reads version {VERSION}")
            return bytes(marker)
    raise ValueError(f"the header of the journal {path} is damaged; repair it to a new file")


def header_is_valid(content: bytes, offset: int) -> bool:
    """Whether the header, or its copy, is undamaged."""
    header = content[offset : offset + HEADER_SIZE]
    if len(header) < HEADER_SIZE or not header.startswith(_MAGIC):
        return False
    return bool(_HEADER.unpack(header)[-1] == journal_blocks.crc32c(header[:-4]))


def align(offset: int) -> int:
    """Round an offset up to where a block can begin."""
    return -(-offset // ALIGNMENT) * ALIGNMENT


def trim(descriptor: int) -> int:
    """Cut off the zeros at the end of a file that no writer has open, which are space that was not used.

    Returns where the next block begins.
    """
    size = end = os.fstat(descriptor).st_size
    while end > RECORDS_AT:
        start = max(RECORDS_AT, end - _STEP)
        used = len(os.pread(descriptor, end - start, start).rstrip(b"\0"))
        end = start + used
        if used:
            break
    end = max(RECORDS_AT, align(end))
    if end != size:
        os.ftruncate(descriptor, end)
    return end


def can_reserve(descriptor: int) -> bool:
    """Whether space of a file can be reserved: on Linux, where a page that is written again needs no other place.

    File systems that copy on write, such as btrfs, need space for it; if there is none, the process gets a SIGBUS.
    """
    return sys.platform == "linux" and journal_blocks.file_system(descriptor) in _FILE_SYSTEMS


def sync_folder(path: str) -> None:
    """Wait until the name of a file is on the disk. Windows has no such call."""
    if os.name == "nt":
        return
    descriptor = os.open(os.path.dirname(path), os.O_RDONLY)  # noqa: PTH120 - as in `Journal`
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_to_disk(descriptor: int) -> None:
    """Wait until what was written is on the disk."""
    (os.fdatasync if hasattr(os, "fdatasync") else os.fsync)(descriptor)


def reopen(descriptor: int, path: str) -> int:
    """Open the same file again, with an open file description of its own, and close the descriptor."""
    try:
        name = f"/proc/self/fd/{descriptor}" if os.path.exists("/proc/self/fd") else path  # noqa: PTH110
        renewed = os.open(name, os.O_RDWR | os.O_CLOEXEC)
        if not os.path.samestat(os.fstat(renewed), os.fstat(descriptor)):
            os.close(renewed)
            raise FileNotFoundError(errno.ENOENT, "the journal was renamed or removed", path)
        return renewed
    finally:
        os.close(descriptor)
