"""What subcommands share: options with their own messages, checks of files, and where output goes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from parcount.report.output import check_writable, is_standard_output, write_output
from parcount.report.stream import discard_output
from parcount.studies.core.comparison import StudyComparison
from parcount.studies.core.options import parse_number
from parcount.studies.core.result import Study, load_studies

Refuse = Callable[[str], Any]
"""Ends the command with a message and the exit code 2."""

HTML = "write a page that a browser shows without a network"

DETAILS = "show all columns of the tables"


def add_option(
    parser: Any, flag: str, metavar: str, parse: Callable[[str], Any], text: str, *, short: str = "", **more: Any
) -> None:
    """Add an option whose parser's ValueError is shown; argparse would replace its message by one of its own."""

    def parsed(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    parser.add_argument(*filter(None, (short, flag)), metavar=metavar, type=parsed, help=text, **more)


def positive_seconds(text: str) -> float:
    """Parse a time to measure."""
    seconds = parse_number(text)
    if not 0 < seconds < float("inf"):
        raise ValueError(f"{text!r} is not a positive number of seconds")
    return seconds


def check_file(refuse: Refuse, option: str, path: str | Path, check: Callable[[Any], object], verb: str) -> None:
    """Refuse a file that cannot be read or written."""
    try:
        check(path)
    except OSError as error:
        refuse(f"argument {option}: cannot {verb} {path}: {error.strerror}")


def check_output(refuse: Refuse, option: str, path: str | Path | None) -> None:
    """Refuse a file that cannot be written, if one was asked for."""
    if path is not None:
        check_file(refuse, option, path, check_writable, "write")


def check_page(refuse: Refuse, path: str | None) -> None:
    """Refuse a page that cannot be written, or that takes libraries that are not installed, if one was asked for."""
    check_output(refuse, "--html", path)
    if path is not None:
        try:
            import parcount.report.figure
            import parcount.report.html  # noqa: F401 - what write_page needs
        except ImportError as error:
            refuse(missing("--html", error))


def read_results(refuse: Refuse, paths: Sequence[str]) -> list[tuple[str, Study]]:
    """Return the studies of result files and reports, each with its file; refuse what is neither."""
    results = []
    for path in paths:
        try:
            results += [(path, study) for study in load_studies(path)]
        except OSError as error:
            refuse(f"cannot read {path}: {error.strerror}")
        except ImportError as error:
            refuse(missing(f"reading {path}", error))
        except ValueError as error:
            refuse(str(error))
    return results


def missing(what: str, error: ImportError) -> str:
    """Return the message for a library that is not installed."""
    return f"{what} needs {error.name}: pip install 'parcount[study]'"


def write_page(path: str, studies: Sequence[Study], comparisons: Sequence[StudyComparison] = ()) -> None:
    """Write the HTML page of some studies; OSError if that fails."""
    from parcount.report.html import render

    write_output(path, render(studies, comparisons).encode())


def save_output(command: str, save: Callable[[Path], None], file: str | Path | None) -> bool:
    """Write a file, if one was asked for; False, after a message, if that fails."""
    try:
        if file is not None:
            save(Path(file))
    except OSError as error:
        print(f"parcount {command}: cannot write {file}: {error.strerror}", file=sys.stderr)
        return False
    return True


def table_stream(*files: str | None) -> TextIO:
    """Return where tables are printed: standard error if a file goes to standard output."""
    return sys.stderr if any(file is not None and is_standard_output(file) for file in files) else sys.stdout


def output_failed(error: OSError) -> int:
    """Say that standard output is full or closed, and write nothing more to it; return the exit code."""
    discard_output()
    with suppress(OSError):
        print(f"parcount: cannot write to standard output: {error.strerror}", file=sys.stderr)
    return 1
