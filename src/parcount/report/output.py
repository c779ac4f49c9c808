"""Writing output files: regular files atomically, devices, pipes and standard output in place."""

from __future__ import annotations

import errno
import json
import os
import secrets
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

STANDARD_OUTPUT = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
"""Names of this process's standard output."""


def is_standard_output(path: str | os.PathLike[str]) -> bool:
    """Whether a path names the standard output."""
    return os.fspath(path) in STANDARD_OUTPUT


def is_regular(path: str | os.PathLike[str]) -> bool:
    """Whether a path names a regular file, or nothing yet: what is replaced atomically."""
    if is_standard_output(path):
        return False
    try:
        return stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116 - follows /proc/self/fd, which has no target path
    except FileNotFoundError:
        return True


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raise OSError unless `write_output` can write to a path; nothing is changed there."""
    if is_standard_output(path):
        return
    if not is_regular(path):  # opening a pipe would wait for its reader, or end what the reader reads
        if Path(path).is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return
    target = Path(os.path.realpath(path))
    existed = target.exists()
    target.open("ab").close()
    if not existed:
        target.unlink()


def write_output(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file.

    A regular file is replaced atomically: it has the old content or the new one, at any time. A symbolic link stays,
    and its target is replaced. Devices and pipes are written in place, and so is a file that may be written in a
    directory that may not. "-" is the standard output. A FIFO without a reader is waited for, after a message on
    standard error.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    if is_standard_output(path):
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.flush()
    elif is_regular(path):
        try:
            _replace(Path(os.path.realpath(path)), content)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from None  # not the name of the temporary file
    else:
        _write_in_place(path, content)


def write_json(path: str | os.PathLike[str], schema: int, content: Mapping[str, Any]) -> None:
    """Write one JSON object with the number of its schema; OSError if that fails."""
    write_output(path, f"{format_json(schema, content)}\n".encode())


def format_json(schema: int, content: Mapping[str, Any]) -> str:
    """Return one JSON object with the number of its schema as text."""
    return json.dumps({"schema": schema, **content}, indent=1, allow_nan=False)


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read JSON; OSError if the file cannot be read, ValueError with its name if it is not JSON."""
    return parse_json(Path(path).read_bytes(), path)


def parse_json(data: bytes, path: str | os.PathLike[str]) -> Any:
    """Parse the JSON of a file; ValueError, with the file's name and in plain words, if it is something else."""
    if not data.strip():
        raise ValueError(f"{path} is empty")
    try:
        text = data.decode(json.detect_encoding(data))  # some shells redirect output in UTF-16
        return json.loads(text, parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not JSON: it is not text") from None
    except json.JSONDecodeError as error:
        if text.lstrip()[:1] in ("{", "[") and (error.pos >= len(text.rstrip()) or "Unterminated" in error.msg):
            raise ValueError(f"{path} is not complete: its JSON ends in line {text.count(chr(10)) + 1}") from None
        raise ValueError(f"{path} is not JSON: see line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise ValueError(f"{path} is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None


def check_schema(content: Any, path: str | os.PathLike[str], schema: int, what: str, field: str) -> None:
    """Raise ValueError unless parsed JSON is an object with this number of its schema.

    `what` is what such files are called, and `field` is a field that they have had in all versions.
    """
    if not isinstance(content, dict) or field not in content or type(content.get("schema")) is not int:
        raise ValueError(f"{path} is not {what}")
    found = content["schema"]
    if found != schema:
        age, advice = ("an older", "measure again") if found < schema else ("a newer", "update parcount")
        raise ValueError(
            f"{path} was written by {age} version of parcount: it has schema {found}, and this version reads {schema}; "
            f"{advice}"
        )


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}")
    # The mode is that of the file before, or the usual one, from which the system itself takes the umask.
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else None
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    except PermissionError:
        if mode is None:
            raise
        path.write_bytes(content)
        return
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - an open descriptor
            file.write(content)
        if mode is not None:
            temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _write_in_place(path: str | os.PathLike[str], content: bytes) -> None:
    flags = os.O_WRONLY | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno != errno.ENXIO or not stat.S_ISFIFO(os.stat(path).st_mode):  # noqa: PTH116 - as above
            raise
        print(f"parcount: waiting for a reader of {os.fspath(path)}", file=sys.stderr, flush=True)
        descriptor = os.open(path, os.O_WRONLY)
    if hasattr(os, "set_blocking") and os.name == "posix":
        os.set_blocking(descriptor, True)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - an open descriptor
        file.write(content)
