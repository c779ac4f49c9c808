"""Standard output that never ends in a traceback: characters it cannot show, and a reader that has gone."""

from __future__ import annotations

import codecs
import io
import os
import sys
from contextlib import suppress

ASCII = {"×": "x", "µ": "u", "…": "...", "–": "-", "—": "-", "’": "'", "≤": "<=", "≥": ">=", "−": "-"}
"""What stands for characters that an encoding lacks; any other becomes a question mark."""


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(ASCII.get(character, "?") for character in error.object[error.start : error.end]), error.end


def use_ascii_fallbacks() -> None:
    """Have both output streams write an ASCII fallback for each character that their encoding lacks."""
    codecs.register_error("parcount", _replace)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="parcount")


def discard_output() -> None:
    """Send what is left of standard output to the null device, so that the interpreter's last flush succeeds."""
    with suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
