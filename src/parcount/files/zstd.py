"""Reading of Zstandard files by the library `zstandard`, for Pythons before 3.14."""

from __future__ import annotations

import io
from typing import Any, BinaryIO

MIN_PIECE = 1 << 9
MAX_PIECE = 1 << 14
TARGET_OUTPUT = 1 << 20
"""Bytes of output above which the pieces of input become smaller: a compressed byte can stand for 30 000."""


class ZstdReader(io.RawIOBase):
    """The contents of a compressed file with any number of frames.

    `zstandard.ZstdDecompressor.stream_reader` takes the end of a truncated file for the end of the contents.

    Raises
    ------
    ImportError
        If `zstandard` is not installed; the message says what to install.
    """

    def __init__(self, raw: BinaryIO) -> None:
        try:
            import zstandard
        except ImportError as error:
            raise ImportError(
                "reading .zst files needs zstandard: pip install 'parcount[files]'", name="zstandard"
            ) from error
        self._raw = raw
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 31)  # as `zstd --long=31` writes
        self._frame: Any = self._decompressor.decompressobj()
        self._piece = MIN_PIECE
        self._input = b""
        self._output = memoryview(b"")

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read some of the contents; 0 at their end, EOFError where they end early."""
        while not self._output:
            self._input = self._input or self._raw.read(self._piece)
            if self._input:
                self._decompress()
            elif self._frame is not None:
                raise EOFError("the last frame is not complete")
            else:
                return 0
        size = min(len(buffer), len(self._output))
        buffer[:size] = self._output[:size]
        self._output = self._output[size:]
        return size

    def _decompress(self) -> None:
        if self._frame is None:
            self._frame = self._decompressor.decompressobj()
        output = self._frame.decompress(self._input)
        if len(output) > TARGET_OUTPUT:
            self._piece = max(MIN_PIECE, self._piece * TARGET_OUTPUT // len(output))
        else:
            self._piece = min(2 * self._piece, MAX_PIECE)
        self._input = b""
        if self._frame.eof:
            self._input = self._frame.unused_data
            self._frame = None
        self._output = memoryview(output)
