"""The `parcount` command: a module for each subcommand.

Exit codes: 0 answered; 1 a count was not exact, or the system failed; 2 the call was wrong; 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, NoReturn

from parcount.cli import compare, info, plan, report, scale, study
from parcount.cli.arguments import output_failed
from parcount.report.stream import use_ascii_fallbacks


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with the words after ``parcount``, by default those of this process; return the exit code."""
    parser = _Parser(prog="parcount", description="Counting on every core, measured.")
    parser.add_argument("--version", action="version", version=f"parcount {version('parcount')}")
    commands = parser.add_subparsers(required=True, metavar="command", title="commands")
    for module in (study, scale, compare, report, plan, info):
        module.add_to(commands)
    words = parser.parse_args(study.with_default(sys.argv[1:] if argv is None else argv))
    return int(words.command(words))


class _Parser(argparse.ArgumentParser):
    """A parser whose help raises OSError where it cannot be written; argparse ignores that."""

    def _print_message(self, message: str, file: Any = None) -> None:
        if message and (stream := file or sys.stderr) is not None:
            stream.write(message)


def run() -> NoReturn:
    """Run the command for a shell: `main`, with a short message where standard output cannot take what is printed."""
    use_ascii_fallbacks()
    try:
        try:
            code = main()
        except SystemExit as end:  # of argparse, for --help and for wrong arguments
            code = int(end.code or 0)
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:
        code = 130
    except OSError as error:
        code = output_failed(error)
    sys.exit(code)
