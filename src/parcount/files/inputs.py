"""What is counted: files, folders, standard input, pipes, and compressed files."""

# ruff: noqa: PTH116, PTH118, PTH122, PTH207
# pathlib takes 5 ms to import, a twentieth of the time in which `parcount count` counts the lines of 2 GB.

from __future__ import annotations

import errno
import io
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO, Self

    from parcount._native.mapped_file import MappedFile

    Path = str | os.PathLike[str]

STANDARD_INPUT = "-"

READ_SIZE = 1 << 16
"""Bytes of a compressed file that are read at a time."""

PIPE_SIZE = 1 << 20
"""Bytes that a pipe is to hold: the most that Linux allows a user; with 64 kB reader and writer wait for each other."""


NO_WAIT: int | None = getattr(os, "RWF_NOWAIT", None)
"""Flag that makes a read fail if it had to wait for the disk; only Linux has it."""

MIN_MAPPED_SIZE = 1 << 18
"""Bytes that are read in the time in which they are mapped."""


class FileChanged(OSError):
    """A file was written, truncated or replaced while it was counted, or since its journal was begun."""


class File:
    """A regular file, as it was when the count began; can be pickled.

    Attributes
    ----------
    name, plain_name : str
        As the user has written it; the same without the ending of a compressed file.
    size : int
        The size in bytes.
    start : int
        Where to begin: standard input may have been read up to there.
    """

    def __init__(self, name: str, path: str, status: os.stat_result, start: int = 0) -> None:
        self.name = self.plain_name = name
        self.path = path
        self.size = status.st_size
        self.start = min(start, self.size)
        self.identity = _identity(status)

    def open(self, position: int = 0) -> OpenFile:
        """Open it, to be read from a position on; `OpenFile.check` tells afterwards whether it is still the same."""
        opened = OpenFile(self)
        if position:
            opened.seek(position)
        return opened


class OpenFile(io.FileIO):
    """An open `File`, a `parcount.files.count.Source`."""

    def __init__(self, file: File) -> None:
        super().__init__(file.path)
        self.file = file
        self.size = file.size

    def __enter__(self) -> Self:
        return self

    def read(self, position: int, size: int) -> bytes:  # type: ignore[override]
        """Return up to `size` bytes from a position on."""
        self.seek(position)
        return super().read(max(0, min(size, self.size - position)))

    def fill(self, buffer: memoryview) -> int:
        """Read from where it is until the buffer is full, or to the end; return the number of bytes."""
        filled = 0
        while filled < len(buffer) and (got := self.readinto(buffer[filled:])):
            filled += got
        return filled

    def map(self, start: int, stop: int) -> MappedFile | None:
        """Return a part as memory, if it is in the page cache; None where it has to be read."""
        if NO_WAIT is None or stop - start < MIN_MAPPED_SIZE:
            return None
        from parcount._native.mapped_file import MappedFile

        try:
            for position in (start, (start + stop) // 2, stop - 1):
                os.preadv(self.fileno(), [bytearray(1)], position, NO_WAIT)
            return MappedFile(self.fileno(), start, stop)
        except OSError:  # also where the system or the file system cannot do that
            return None

    def check(self) -> None:
        """Raise FileChanged if the file was changed."""
        if _identity(os.fstat(self.fileno())) != self.file.identity:
            raise FileChanged(errno.ESTALE, "file changed while it was counted", self.file.name)


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


class Stream:
    """What can only be read from its beginning to its end.

    Attributes
    ----------
    name, plain_name : str
        As the user has written it; the same without the ending of a compressed file.
    size : int
        Bytes, compressed ones of a compressed file; 0 if unknown.
    """

    def __init__(
        self,
        name: str,
        source: str | int | BinaryIO,
        size: int = 0,
        unpack: Callable[[BinaryIO], BinaryIO] | None = None,
    ) -> None:
        self.name = name
        self.plain_name = name if unpack is None else os.path.splitext(name)[0]
        self.source = source
        self.size = size
        self.unpack = unpack

    def open(self, position: int = 0) -> OpenStream:  # noqa: ARG002 - as File.open
        """Open it; a FIFO waits for a writer."""
        return OpenStream(self)


class OpenStream:
    """An open `Stream`."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._raw = self._file = self._open()

    def _open(self) -> BinaryIO:
        source = self.stream.source
        if not isinstance(source, int | str):
            return source
        raw: BinaryIO = open(source, "rb", buffering=0, closefd=isinstance(source, str))  # noqa: SIM115
        if self.stream.unpack is None:
            _widen_pipe(raw.fileno())
        return raw

    def __enter__(self) -> Self:
        if self.stream.unpack is not None:
            try:
                self._file = self.stream.unpack(self._raw)
            except BaseException:
                self._raw.close()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._raw is not self.stream.source:
            self._file.close()
            self._raw.close()

    def fill(self, buffer: memoryview) -> int:
        """Read until the buffer is full, or to the end; return the number of bytes."""
        filled = 0
        try:
            while filled < len(buffer):
                got = _read_into(self._file, buffer[filled:])
                if not got:
                    break
                filled += got
        except EOFError:
            raise OSError(errno.EILSEQ, "compressed data ends early", self.stream.name) from None
        except OSError as error:
            if error.errno is None:  # such as gzip.BadGzipFile
                raise OSError(errno.EILSEQ, f"cannot be decompressed: {error}", self.stream.name) from error
            raise
        except Exception as error:
            if self.stream.unpack is None:
                raise
            raise OSError(errno.EILSEQ, f"cannot be decompressed: {error}", self.stream.name) from error  # zlib's own
        return filled

    def check(self) -> None:
        """Do nothing: what is read once cannot be compared."""

    def done(self) -> int:
        """Return how many of the `size` bytes have been read."""
        return self._raw.tell() if self.stream.size else 0


def _read_into(file: BinaryIO, buffer: memoryview) -> int:
    if hasattr(file, "readinto"):
        return file.readinto(buffer) or 0
    data = file.read(len(buffer))
    buffer[: len(data)] = data
    return len(data)


def _widen_pipe(descriptor: int) -> None:
    if sys.platform == "linux" and stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        import fcntl
        from contextlib import suppress

        with suppress(OSError):  # the user has too many large pipes
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_SIZE)


def _open_gzip(raw: BinaryIO) -> BinaryIO:
    import gzip

    return gzip.GzipFile(fileobj=raw)  # type: ignore[return-value]


def _open_zstd(raw: BinaryIO) -> BinaryIO:
    try:
        from compression.zstd import ZstdFile  # type: ignore[import-not-found, unused-ignore]
    except ImportError:  # before Python 3.14
        from parcount.files.zstd import ZstdReader

        return io.BufferedReader(ZstdReader(raw), READ_SIZE)
    return ZstdFile(raw)  # type: ignore[no-any-return, unused-ignore]


DECOMPRESSION: dict[str, Callable[[BinaryIO], BinaryIO]] = {".gz": _open_gzip, ".zst": _open_zstd}
"""By the end of a file's name."""

Input = File | Stream

OnError = Callable[[str, Exception], object]
"""Called with the name of an input that is left out, and why."""


def find_inputs(
    paths: Iterable[Path | BinaryIO], *, recursive: bool = False, on_error: OnError | None = None
) -> list[Input]:
    """Return what paths name.

    Parameters
    ----------
    paths : iterable
        Files, patterns as for `glob.glob`, folders if `recursive`, ``"-"`` for standard input, and binary file objects.
        A file whose name ends in ``.gz`` or ``.zst`` is decompressed. In a folder, symbolic links, pipes and devices
        are left out; the files are in the order of their names.
    recursive : bool, optional
        Whether to count the files in folders and in the folders in these.
    on_error : callable, optional
        Called for each path that is left out; without it, the exception is raised.

    Raises
    ------
    OSError
        If a file does not exist, is a folder, or cannot be read.
    """
    inputs: list[Input] = []
    for path in paths:
        if not isinstance(path, str | os.PathLike):
            inputs.append(Stream(str(getattr(path, "name", path)), path))
            continue
        name = os.fsdecode(path)
        try:
            for found in _expand(name):
                inputs += _find(found, recursive, on_error)
        except OSError as error:
            if on_error is None:
                raise
            on_error(name, error)
    return inputs


def _expand(name: str) -> list[str]:
    """Return the files that match a pattern; the name itself if it is none, if such a file exists, or if none match."""
    if name == STANDARD_INPUT or not any(sign in name for sign in "*?[") or os.path.lexists(name):
        return [name]
    from glob import glob

    return sorted(glob(name, recursive=True)) or [name]


def _find(name: str, recursive: bool, on_error: OnError | None) -> Iterator[Input]:
    if name == STANDARD_INPUT:
        yield _standard_input()
        return
    status = os.stat(name)
    if not stat.S_ISDIR(status.st_mode):
        yield _input(name, status)
        return
    if not recursive:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)

    def failed(error: OSError) -> None:
        if on_error is None:
            raise error
        on_error(str(error.filename), error)

    for folder, folders, files in os.walk(name, onerror=failed):
        folders.sort()
        for file in sorted(files):
            path = os.path.join(folder, file)
            try:
                status = os.lstat(path)
            except OSError as error:  # it has just gone
                failed(error)
                continue
            if stat.S_ISREG(status.st_mode):
                yield _input(path, status)


def _input(name: str, status: os.stat_result) -> Input:
    unpack = DECOMPRESSION.get(os.path.splitext(name)[1])
    if unpack is not None:
        return Stream(name, name, status.st_size, unpack)
    return File(name, name, status) if stat.S_ISREG(status.st_mode) else Stream(name, name)


def _standard_input() -> Input:
    """Return standard input: as a `File` if it is one that workers can open by a name."""
    if sys.stdin is None:
        raise OSError(errno.EBADF, "standard input is closed", STANDARD_INPUT)
    descriptor = 0
    status = os.fstat(descriptor)
    path = f"/proc/{os.getpid()}/fd/{descriptor}"
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), STANDARD_INPUT)
    if stat.S_ISREG(status.st_mode) and status.st_size and os.access(path, os.R_OK):
        return File(STANDARD_INPUT, path, status, os.lseek(descriptor, 0, os.SEEK_CUR))
    return Stream(STANDARD_INPUT, descriptor)
